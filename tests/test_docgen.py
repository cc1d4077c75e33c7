"""Man pages and completions: up to date, complete, and what real shells make of them."""

from __future__ import annotations

import ast
import dataclasses
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import get_args

import pytest
import typer
from typer.testing import CliRunner

from stemsplit import docgen
from stemsplit.audio.format_table import FORMATS
from stemsplit.checkpoints.choosing import is_hidden
from stemsplit.checkpoints.entries import Model
from stemsplit.checkpoints.registry import list_models, resolve
from stemsplit.cli.app import choose_command
from stemsplit.cli.commands import COMMANDS, load_command
from stemsplit.cli.settings import NOT_SETTINGS
from stemsplit.docgen import tree as docgen_tree
from stemsplit.docgen.format_notes import FORMAT_NOTES
from stemsplit.docgen.man import escape, prose
from stemsplit.docgen.pages import EXIT_STATUS, PAGES
from stemsplit.errors import ExitCode
from stemsplit.types import StreamFormat
from stemsplit.version import __version__

ROOT = Path(__file__).parents[1]
COMPLETIONS = ROOT / "completions"
ENTRIES = {each.path: each for each in docgen_tree.walk(docgen_tree.read_commands())}
PAGE_OF = {"split": "stemsplit.1"} | {
    name: f"stemsplit-{name}.1" for name in COMMANDS if name != "split"
}


PAGES_OF_MAN = [
    *(f"man/man1/{name}" for name in PAGE_OF.values()),
    *(f"man/man5/stemsplit-{name}.5" for name in ("config", "json")),
]


def page(path: str) -> str:
    return (ROOT / "man/man1" / PAGE_OF[path.split()[0]]).read_text()


def options_in_help(path: str) -> set[str]:
    """Return the options that --help itself shows: not what docgen reads, but what Typer says."""
    name, *below = path.split()
    text = CliRunner().invoke(load_command(name), [*below, "--help"]).stdout
    lines = re.findall(r"^  (-\w(?:, |  ))?(--[a-z-]+)?", text, re.MULTILINE)
    return {name.strip(", ") for line in lines for name in line if name.strip()}


# --- The files -----------------------------------------------------------------------------------


def test_the_committed_files_are_up_to_date_and_making_them_needs_no_torch() -> None:
    program = (
        "import sys; from stemsplit import docgen; status = docgen.main(['check']);"
        "assert 'torch' not in sys.modules; sys.exit(status)"
    )
    environment = {**os.environ, "STEMSPLIT_REGISTRY": "/private/registry.toml"}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_check_names_what_is_changed_missing_or_too_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    docgen.write(tmp_path)
    assert docgen.find_stale(tmp_path) == []
    (tmp_path / "man/man1" / "stemsplit.1").write_text("old")
    (tmp_path / "man/man1" / "stemsplit-gone.1").write_text("of a command that is gone")
    (tmp_path / "completions" / "_stemsplit").unlink()
    stale = ["completions/_stemsplit", "man/man1/stemsplit-gone.1", "man/man1/stemsplit.1"]
    assert docgen.find_stale(tmp_path) == [Path(path) for path in stale]
    monkeypatch.delenv("STEMSPLIT_REGISTRY", raising=False)
    assert docgen.main(["check"], tmp_path) == 1
    assert [line.split()[1] for line in capsys.readouterr().err.splitlines()] == stale
    assert docgen.main(["write"], tmp_path) == 0
    assert docgen.main(["check"], tmp_path) == 0
    assert docgen.main(["chekc"], tmp_path) == 2


@pytest.mark.slow
def test_the_wheel_brings_them_where_man_and_the_shells_look(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", str(ROOT), "--wheel-dir", str(tmp_path)]
    command += ["--no-deps", "--no-build-isolation", "--quiet"]
    subprocess.run(command, check=True)
    with zipfile.ZipFile(next(tmp_path.glob("stemsplit-*.whl"))) as wheel:
        share = f"stemsplit-{__version__}.data/data/share"
        for source, target in {
            **{path: path for path in PAGES_OF_MAN},
            "completions/stemsplit.bash": "bash-completion/completions/stemsplit",
            "completions/_stemsplit": "zsh/site-functions/_stemsplit",
            "completions/stemsplit.fish": "fish/vendor_completions.d/stemsplit.fish",
        }.items():
            assert wheel.read(f"{share}/{target}") == (ROOT / source).read_bytes()


def test_the_page_of_models_has_them_all() -> None:
    page = (ROOT / "man/man1/stemsplit-models.1").read_text()
    section = page[page.index(".SH MODELS") : page.index(".SH EXAMPLES")]
    entries = {
        name.replace("\\-", "-"): text
        for name, text in re.findall(
            r"^\.TP\n\\fB(\S+)\\fR\n((?:[^.].*\n)+)", section, re.MULTILINE
        )
    }
    shown = {model.name for model in list_models() if not is_hidden(model)}
    assert {name for name in entries if not name.startswith("[")} == shown
    text = entries["mel_band_roformer.kim"]
    assert "Stems: vocals.\n" in text
    assert "Size: 913 MB.\n" in text
    assert "Licence: MIT; commercial use: yes." in text
    [number] = re.findall(r"uSDR on MVSep Multisong: vocals 10.98 dB (\[\d+\])\.", text)
    assert "pretrained_models.md" in entries[number]


def test_the_page_has_every_format() -> None:
    assert set(FORMAT_NOTES) == set(FORMATS)


# --- Nothing is left out -------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_page_of_its_own_words(name: str) -> None:
    assert name in PAGES, f"add a ManPage of {name} to PAGES in docgen/pages.py"
    page = PAGES[name]
    assert page.examples, f"the page of {name} needs examples"
    assert page.output, f"the page of {name} needs output: what goes where"
    options = {
        option.long
        for path, entry in ENTRIES.items()
        if path.split()[0] == name
        for option in entry.options
    }
    described = f"describe the objects of {name} --json in docgen/json_objects.py"
    if name != "watch":  # its objects are those of `stemsplit FILE`
        assert bool(page.records) == ("--json" in options), described


def test_the_walk_finds_every_command() -> None:
    assert {path.split()[0] for path in ENTRIES} == set(COMMANDS)
    assert {"models list", "models show", "models pull", "models path"} <= set(ENTRIES)


@pytest.mark.parametrize("path", ENTRIES)
def test_every_option_of_help_is_read(path: str) -> None:
    options = options_in_help(path)
    assert "--help" in options
    assert {name for option in ENTRIES[path].options for name in option.names} == options


@pytest.mark.parametrize("path", ENTRIES)
def test_every_option_of_help_is_in_the_man_page_and_the_scripts(path: str) -> None:
    bash, zsh, fish = (
        (COMPLETIONS / name).read_text()
        for name in ("stemsplit.bash", "_stemsplit", "stemsplit.fish")
    )
    words = re.search(rf'"{path}"[^\n]*\) _stemsplit_words "(.*--help)"', bash)
    function = zsh.partition(f"_stemsplit_{path.replace(' ', '_')}() {{")[2].partition("\n}")[0]
    lines = "\n".join(line for line in fish.splitlines() if f'"{path}"\'' in line)
    assert words is not None
    for name in options_in_help(path):
        assert f"\\fB{escape(name)}\\fR" in page(path)
        assert name in words[1].split()
        assert re.search(rf"\){name}[=+]?\[|'\*{name}[=+]?\[", function), name
        assert (f" -l {name[2:]} " if name[:2] == "--" else f" -s {name[1:]} ") in lines


def test_choices_limits_defaults_and_variables_are_read() -> None:
    options = {name: each for each in ENTRIES["split"].options for name in each.names}
    assert options["--format"].value is not None
    assert options["--format"].value.words == get_args(StreamFormat)
    assert options["--format"].default == "wav"
    assert options["--format"].envvar == "STEMSPLIT_FORMAT"
    assert options["--shifts"].value is not None
    limits = options["--shifts"].value
    assert (limits.minimum, limits.maximum) == (1, 99)
    assert options["--force"].value is None
    assert options["-q"].repeats
    assert options["-q"].default is None
    kinds = {name: each.value and each.value.kind for name, each in options.items()}
    assert kinds["-n"] == "model"
    assert kinds["--stems"] == "stems"
    assert kinds["--out"] == "folder"
    assert ENTRIES["split"].arguments[0].value.kind == "file"


def test_every_variable_of_the_program_is_in_the_man_page() -> None:
    texts = (
        path.read_text() for path in ROOT.glob("stemsplit/**/*.py") if "docgen" not in path.parts
    )
    used = {name for text in texts for name in re.findall(r"\bSTEMSPLIT_[A-Z_]+\b", text)}
    described = set(re.findall(r"^\\fB(STEMSPLIT_[A-Z_]+)\\fR$", page("split"), re.MULTILINE))
    assert described == used
    assert "STEMSPLIT_CACHE_DIR" in used


def exit_status(name: str) -> dict[int, str]:
    """Return what the page of a command says of each exit code."""
    section = page(name).partition(".SH EXIT STATUS\n")[2].partition(".SH")[0]
    found = re.findall(r"^\.TP\n\\fB(\d+)\\fR\n(.+)", section, re.MULTILINE)
    return {int(code): text for code, text in found}


#: Command -> the exit codes that it can have.
CODES = {
    "split": [0, 1, 2, 3, 4, 5, 6, 130, 143],
    "watch": [0, 1, 2, 3, 4, 5, 130, 143],  # what becomes of songs is no code: it goes on
    "models": [0, 1, 2, 3, 4, 5, 130, 143],  # it ends with the first that fails
    "demo": [0, 1, 2, 3, 4, 5, 130, 143],  # it has one song, which is done or not
    "evaluate": [0, 1, 2, 3, 4, 5, 6, 130, 143],
    "train": [0, 1, 2, 3, 4, 5, 6, 130, 143],  # 6: --check finds that the network cannot learn
    "data": [0, 1, 2, 3, 5, 6, 130, 143],
    "config": [0, 1, 2, 5, 130, 143],  # 5: `stemsplit config show >/dev/full`
    "doctor": [0, 1, 2, 5, 130, 143],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_exit_code_is_in_the_page(name: str) -> None:
    assert name in CODES, f"say in CODES which exit codes {name} can have"
    assert list(exit_status(name)) == CODES[name]


def test_exit_codes_mean_what_the_command_makes_of_them() -> None:
    assert list(EXIT_STATUS) == list(ExitCode)
    assert exit_status("split")[0] == "Every input is done, or was done before."
    assert exit_status("watch")[0] == "Stopped by a signal."
    assert exit_status("models")[0] == "Success."
    assert exit_status("demo")[0] == "The song was split and scored."
    assert exit_status("doctor")[5] == "A requirement is missing or does not work."
    assert exit_status("config")[5] == "Standard output cannot be written, as on a full disk."


def test_every_key_of_the_json_records_is_in_the_page() -> None:
    tree = ast.parse((ROOT / "stemsplit" / "cli" / "summary.py").read_text())
    function = next(
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and "record" in node.name
    )
    keys = {
        key.value
        for node in ast.walk(function)
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Constant)
    }
    described = {key for fields in PAGES["split"].records.values() for key in fields}
    assert described == keys - {"name", "path"}  # those of the objects in "stems"
    described = {key for fields in PAGES["models"].records.values() for key in fields}
    more = {"schema", "group", "here", "verifiable", "hidden"}
    more |= {"receptive_field", "look_ahead", "operations"}
    assert described == {field.name for field in dataclasses.fields(Model)} | more


# --- Man pages -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "roff"),
    [
        ("--out", "\\-\\-out"),
        (".hidden", "\\&.hidden"),
        ("a\n.b", "a\n\\&.b"),
        ("'quoted'", "\\(aqquoted\\(aq"),
        ("C:\\n", "C:\\en"),
        ("~/^`", "\\(ti/\\(ha\\(ga"),
        ("STEM,…", "STEM,\\[u2026]"),
    ],
)
def test_escape(text: str, roff: str) -> None:
    assert escape(text) == roff


def test_prose_has_bold_code_and_a_line_for_each_sentence() -> None:
    assert prose("Use `--out`. .b\\ is next.") == "Use \\fB\\-\\-out\\fR.\n\\&.b\\e is next."


@pytest.mark.parametrize("name", PAGE_OF.values())
def test_a_page_has_its_sections_in_order_and_is_plain_ascii(name: str) -> None:
    text = (ROOT / "man/man1" / name).read_bytes().decode("ascii")
    sections = re.findall(r"^\.SH (.+)$", text, re.MULTILINE)
    usual = "NAME,SYNOPSIS,DESCRIPTION,COMMANDS,OPTIONS,MODELS,FORMATS"
    order = [
        *usual.split(","),
        "EXAMPLES",
        "OUTPUT",
        "ENVIRONMENT",
        "FILES",
        "EXIT STATUS",
        "COMING FROM OTHER PROGRAMS",
        "SEE ALSO",
    ]
    assert sections == [section for section in order if section in sections]
    assert set(order) - set(sections) <= {
        *("COMMANDS", "MODELS", "FORMATS", "FILES", "COMING FROM OTHER PROGRAMS"),
    }
    assert f'"stemsplit {__version__}"' in text.splitlines()[1]
    # Lines that begin with a dot or an apostrophe are requests: only those meant to be.
    requests = set(re.findall(r"^[.'](.*?)(?: |$)", text, re.MULTILINE))
    assert requests <= {
        '\\"',
        "TH",
        "SH",
        "SS",
        "PP",
        "TP",
        "RS",
        "RE",
        "EX",
        "EE",
        "br",
        "nh",
        "ad",
    }


@pytest.mark.parametrize("name", PAGES_OF_MAN)
@pytest.mark.parametrize(
    "command", ["groff -ww -man -Tutf8 -z", "man --warnings -l", "mandoc -T lint -W warning"]
)
def test_a_page_gives_no_warning(command: str, name: str) -> None:
    words = shlex.split(command)
    if shutil.which(words[0]) is None:
        pytest.skip(f"no {words[0]} here")
    environment = {**os.environ, "MANPAGER": "cat", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        [*words, str(ROOT / name)], capture_output=True, text=True, env=environment
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_every_option_is_a_setting_that_the_page_of_the_configuration_has() -> None:
    text = (ROOT / "man/man5/stemsplit-config.5").read_text()
    for option in ENTRIES["split"].options:
        if option.names == docgen_tree.SHORT_HELP:
            continue
        head = f".TP\n\\fB{option.long[2:]}\\fR = ".replace("-", "\\-")
        assert (head in text) == (option.long[2:] not in NOT_SETTINGS), option.long
    for path, entry in ENTRIES.items():
        if path != "split" and not entry.commands:
            assert f"\n\\fB[{path.replace(' ', '.')}]\\fR\n" in text


def test_every_key_of_a_record_is_in_the_json_man_page() -> None:
    text = (ROOT / "man/man5/stemsplit-json.5").read_text()
    for each in PAGES.values():
        for fields in (*each.records.values(), *each.events.values()):
            for key, (kind, _) in fields.items():
                assert f".TP\n\\fB{key}\\fR ({kind})\n" in text


@pytest.mark.parametrize("name", PAGES_OF_MAN)
def test_a_page_fits_80_columns(name: str) -> None:
    if shutil.which("man") is None:
        pytest.skip("no man here")
    environment = {**os.environ, "MANPAGER": "cat", "MANWIDTH": "80", "LC_ALL": "C.UTF-8"}
    shown = subprocess.check_output(["man", "-l", str(ROOT / name)], text=True, env=environment)
    assert [line for line in shown.splitlines() if len(line) > 80] == []


EXAMPLES = [line for each in PAGES.values() for line in each.examples.values()]


@pytest.mark.parametrize("line", [line for line in EXAMPLES if line.startswith("stemsplit")])
def test_the_examples_are_commands_that_the_program_takes(line: str) -> None:
    program, *arguments = shlex.split(line.partition(" | ")[0])
    assert program == "stemsplit"
    name, rest = choose_command(arguments)
    command = typer.main.get_command(load_command(name))
    if ENTRIES[name].commands:
        command, rest = command.commands[rest[0]], rest[1:]  # type: ignore[attr-defined]
    values = command.make_context(name, rest).params
    known = {stem for model in list_models() for stem in model.stems}
    if "model" in values:
        known = set(resolve(values["model"]).stems)
    chosen = ",".join([*(values.get("stems") or ()), values.get("two_stems") or ""])
    assert set(filter(None, chosen.split(","))) <= known
    for model in values.get("names") or []:
        resolve(model)
    assert f"\n{escape(line)}\n" in page(name)
