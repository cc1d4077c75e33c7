"""Where the hints of usage errors point."""

from __future__ import annotations

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
        ("models pull", "see stemsplit models pull --help"),
        ("evaluate --window 0 x", "see --window in stemsplit evaluate --help"),
    ],
)
def test_a_hint_points_to_the_page_and_the_option(words: str, hint: str, tmp_path: Path) -> None:
    result = run(*words.split(), cwd=tmp_path)
    assert result.code == 2
    assert result.stderr.splitlines()[1:] == [f"hint: {hint}"]
    assert "STEMSPLIT_" not in result.stderr


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("--modle htdemucs", "--model"),
        ("--stem vocals", "--stems"),
        ("--ouput there", "--out"),
        ("--two_stems vocals", "--two-stems"),
        ("--model_name htdemucs", "--model"),
        ("--outputfolder there", None),
    ],
)
def test_a_misspelt_option_is_corrected(typed: str, meant: str | None, tmp_path: Path) -> None:
    result = run("song.wav", *typed.split(), cwd=tmp_path)
    asked = f"did you mean {meant}? " if meant else ""
    assert result.code == 2
    assert result.stderr.splitlines() == [
        f"stemsplit: error: No such option: {typed.split()[0]}",
        f"hint: {asked}see stemsplit --help",
    ]


def test_a_variable_that_was_used_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMSPLIT_FORMAT", "wma")
    error, hint = run("song.wav", cwd=tmp_path).stderr.splitlines()
    assert error.startswith("stemsplit: error: STEMSPLIT_FORMAT: ") and "'wma'" in error
    assert hint == "hint: see --format in stemsplit --help"
    typed = run("song.wav", "--format", "x", cwd=tmp_path).stderr
    assert "STEMSPLIT_FORMAT" not in typed and "'x'" in typed
