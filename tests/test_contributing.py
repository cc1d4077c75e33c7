"""The pages for contributors: what they name exists, and their example is a command that works."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from textwrap import dedent
from types import ModuleType

import pytest
import soundfile
from typer.testing import CliRunner

from stemsplit.cli.commands import CommandRow

ROOT = Path(__file__).parent.parent
PAGES = {
    name: (ROOT / f".github/{name}.md").read_text() for name in ("ARCHITECTURE", "CONTRIBUTING")
}
#: Files that the page explains how to add.
NEW = re.compile(r"(mine|tta|length)\.py$")


@pytest.mark.parametrize("name", PAGES)
def test_files_that_are_named_exist(name: str) -> None:
    named = set(re.findall(r"`([\w./]+\.(?:py|toml|md|pyi))`", PAGES[name]))
    assert len(named) > 10
    files = [path.relative_to(ROOT).as_posix() for path in ROOT.glob("*/**/*.*")]
    for path in named:
        if not NEW.search(path) and path != "config.toml":  # that of a user
            assert any(f"/{file}".endswith(f"/{path}") for file in files), path


def test_the_map_names_every_package() -> None:
    packages = {path.parent.name for path in (ROOT / "stemsplit").glob("*/__init__.py")}
    assert packages == set(re.findall(r"^  (\w+)/ ", PAGES["ARCHITECTURE"], re.MULTILINE))


def test_the_example_of_a_command(
    song: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source = re.search(r"```python\n(.*?)```", PAGES["CONTRIBUTING"], re.DOTALL)
    assert source
    module = ModuleType("stemsplit.cli.length")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(dedent(source[1]), "length.py", "exec"), vars(module))
    seconds = soundfile.info(song).duration
    assert CliRunner().invoke(module.app, [str(song)]).stdout == f"{song}: {seconds:.2f} s\n"
    as_json = CliRunner().invoke(module.app, [str(song), "--json"]).stdout
    assert as_json.startswith('{"schema": 1, "input": "') and f'"duration": {seconds}' in as_json
    row = re.search(r'`"length": (CommandRow\(".*?"\))`', PAGES["CONTRIBUTING"])
    assert row and eval(row[1]) == CommandRow("how long songs are")
