"""Options: declared once, and the same for the command, for Python and in the settings."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest
from command import TINY, run

import stemsplit
from stemsplit.declarations import declaration
from stemsplit.errors import UsageError
from stemsplit.options import (
    EncodingOptions,
    EngineOptions,
    SplitOptions,
    field_of,
    names_of,
    parse_batch,
)

PACKAGE = Path(__file__).parent.parent / "stemsplit"
#: Options whose switches on the command line are several.
SWITCHES = {"existing"}


def test_every_option_of_python_is_one_of_the_command(tmp_path: Path) -> None:
    words = run("split", "--help", cwd=tmp_path).stdout
    for name in names_of(SplitOptions):
        if name not in SWITCHES:
            found = field_of(SplitOptions, name)
            assert found is not None
            said = declaration(found)
            assert said is not None, name
            shown = said.name or name
            assert f"--{shown.replace('_', '-')}" in words, name


def test_split_files_takes_every_option_with_its_default() -> None:
    parameters = inspect.signature(stemsplit.split_files).parameters
    for name in names_of(SplitOptions):
        found = field_of(SplitOptions, name)
        assert found is not None
        assert parameters[name].default == found.default, name


def test_an_option_is_declared_in_one_place() -> None:
    """A second place that gives help for one would drift: texts, defaults and limits."""
    texts = {}
    for name in names_of(SplitOptions):
        found = field_of(SplitOptions, name)
        assert found is not None
        if (said := declaration(found)) is not None:
            texts[said.help] = name
    assert len(texts) > 30
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.name == "options.py" and path.parent == PACKAGE:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and node.value in texts:
                raise AssertionError(f"{path} declares {texts[node.value]} again")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shifts": 0}, "shifts must be at least 1, not 0"),
        ({"shifts": 100}, "shifts must be at most 99, not 100"),
        ({"overlap": 1.0}, "overlap must be at most 0.99, not 1"),
        ({"overlap": float("nan")}, "overlap must be at least 0, not nan"),
        ({"segment": 0.01}, "segment must be at least 0.1, not 0.01"),
        ({"batch": 0}, "batch must be at least 1, not 0"),
        ({"precision": "fp8"}, "unknown precision 'fp8'"),
    ],
)
def test_values_out_of_range(options: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        EngineOptions(**options)


def test_choices_are_named() -> None:
    with pytest.raises(UsageError, match="unknown format 'wma'") as caught:
        EncodingOptions(format="wma")  # type: ignore[arg-type]
    assert caught.value.hint == "it is one of: wav, flac, aiff, alac, mp3, m4a, opus, ogg, stem.mp4"


def test_a_limit_holds_on_the_command_line_and_in_python(song: Path, tmp_path: Path) -> None:
    result = run(song, "-n", TINY, "--shifts", "0", cwd=tmp_path)
    assert result.code == 2
    assert "--shifts" in result.stderr
    with pytest.raises(UsageError, match="shifts must be at least 1"):
        stemsplit.split_files(song, model=TINY, out=tmp_path, shifts=0)
    assert list(tmp_path.iterdir()) == [song.parent]


def test_options_by_their_names() -> None:
    options = SplitOptions.of(
        {"out": "stems", "shifts": 2, "format": "flac", "start": 1.5, "stems": ["vocals"]}
    )
    assert options.out == Path("stems")
    assert options.engine.shifts == 2
    assert options.encoding.format == "flac"
    assert options.excerpt.start == 1.5
    assert options.stems == ("vocals",)
    assert options.on("cpu").engine == EngineOptions(device="cpu", shifts=2)


def test_what_is_no_option() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'shift'"):
        SplitOptions.of({"shift": 2})
    with pytest.raises(UsageError, match="stems is a sequence of names, not 'vocals'"):
        SplitOptions.of({"stems": "vocals"})


@pytest.mark.parametrize(("text", "value"), [("auto", "auto"), ("1", 1), ("12", 12)])
def test_batches(text: str, value: object) -> None:
    assert parse_batch(text) == value


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "", "many"])
def test_what_is_no_batch(text: str) -> None:
    with pytest.raises(UsageError, match="--batch is a number of segments or auto"):
        parse_batch(text)
