"""Where the hints of usage errors point."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from command import run


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("--nosuch", "see stemsplit --help"),
        ("--format x song.wav", "see --format in stemsplit --help"),
        ("-j x song.wav", "see --jobs in stemsplit --help"),
        ("watch x --settle 0", "see --settle in stemsplit watch --help"),
        ("models list --nosuch", "see stemsplit models list --help"),
        ("models nosuch", "see stemsplit models --help"),
        ("models remove x", "did you mean rm? see stemsplit models --help"),
        ("x.wav --overwrite", "did you mean --force? see stemsplit --help"),
        ("x.wav --karaoke", "did you mean --two-stems vocals? see stemsplit --help"),
        ("evaluate --from 1", "see stemsplit evaluate --help"),
        ("models pull", "see stemsplit models pull --help"),
        ("evaluate --window 0 x", "see --window in stemsplit evaluate --help"),
    ],
)
def test_a_hint_points_to_the_page_and_the_option(words: str, hint: str, tmp_path: Path) -> None:
    result = run(*words.split(), cwd=tmp_path)
    assert result.code == 2
    assert result.stderr.splitlines()[1:] == [f"hint: {hint}"]
    assert "STEMSPLIT_" not in result.stderr


def test_a_variable_that_was_used_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMSPLIT_FORMAT", "wma")
    error, hint = run("song.wav", cwd=tmp_path).stderr.splitlines()
    assert error.startswith("stemsplit: error: STEMSPLIT_FORMAT: ") and "'wma'" in error
    assert hint == "hint: see --format in stemsplit --help"
    typed = run("song.wav", "--format", "x", cwd=tmp_path).stderr
    assert "STEMSPLIT_FORMAT" not in typed and "'x'" in typed


@pytest.mark.parametrize("command", ["models pull", "models show", "evaluate", "config show"])
def test_arguments_have_no_types_in_help(command: str, tmp_path: Path) -> None:
    page = run(*command.split(), "--help", cwd=tmp_path).stdout
    head = page.partition("Arguments:\n")[2].splitlines()[0]
    assert re.match(r"  (NAME|STEMS|COMMAND)  \w", head)


def test_the_list_of_subcommands_is_not_cut_off(tmp_path: Path) -> None:
    page = run("models", "--help", cwd=tmp_path).stdout.partition("Commands:\n")[2]
    rows = [line.split(maxsplit=1)[0] for line in page.splitlines()]
    assert rows == ["list", "show", "pull", "verify", "rm", "path", "convert"]
    assert "..." not in page
