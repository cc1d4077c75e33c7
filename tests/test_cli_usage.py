"""Usage errors: their words, where the hints point, and the help that they point to."""

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


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("--modle htdemucs", "--model"),
        ("--stem vocals", "--stems"),
        ("--ouput there", "--out"),
        ("--two_stems vocals", "--two-stems or --stems"),
        ("--model_name htdemucs", "--model"),
        ("--outputfolder there", "--out"),
        ("--zzz there", None),
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


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("song.wav --acapella", "--two-stems vocals writes the vocals and the song without them"),
        ("song.wav --Karaoke", "--stems instrumental; --two-stems vocals also writes the vocals"),
        ("song.wav --gpu", "--device cuda"),
        ("song.wav --from 1:30", "--start"),
        ("song.wav -V", "--version"),
        ("song.wav --overwrite", "--force replaces existing files"),
        ("song.wav --bit_depth 24", "--depth 16, 24 or 32f"),
        ("song.wav --samplerate 48000", "stems have the sample rate of the song"),
        ("watch music --normalize", "levels are not changed"),
        ("song.wav --modle x", "did you mean --model? see stemsplit --help"),
        ("song.wav --output x", "did you mean --out? see stemsplit --help"),
        ("models list --license mit", "did you mean --licence? see stemsplit models list --help"),
        ("models list --gpu", "see stemsplit models list --help"),
        ("evaluate a --reference b", "did you mean --references? see stemsplit evaluate --help"),
        ("song.wav -z", "see stemsplit --help"),
        ("models add x.ckpt", "stemsplit models convert FILE; -n FILE uses a checkpoint"),
        ("models remove scnet", "stemsplit models rm NAME"),
        ("models list guitar", "stemsplit models list --stem guitar"),
        ("models list Voice", "stemsplit models list --stem vocals"),
        ("models list SCNet piano", "stemsplit models list --architecture scnet"),
        ("models list mit", "stemsplit models list --licence mit"),
        ("models list frobnicate", "see stemsplit models list --help"),
        ("models frobnicate", "see stemsplit models --help"),
        ("song.wav --stems bass drums", "separate stems by commas: --stems bass,drums"),
        ("-f mp3 song.wav", "use --format mp3"),
        ("song.wav FLAC", "use --format flac"),
        ("--stems=bass drums song.wav", "separate stems by commas: --stems bass,drums"),
    ],
)
def test_what_was_probably_meant(tmp_path: Path, words: str, hint: str) -> None:
    result = run(*words.split(), cwd=tmp_path)
    error, shown = result.stderr.splitlines()
    assert (result.code, result.stdout) == (2, "")
    assert shown.startswith(f"hint: {hint}")
    assert "Possible options" not in error


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("--threads all", "'--threads': must be a whole number"),
        ("--threads 0", "'--threads': must be at least 1"),
        ("--shifts 100", "'--shifts': must be at most 99"),
        ("--overlap half", "'--overlap': must be a number"),
    ],
)
def test_values_of_options(tmp_path: Path, words: str, reason: str) -> None:
    result = run("song.wav", *words.split(), cwd=tmp_path)
    assert result.stderr.splitlines()[0] == f"stemsplit: error: Invalid value for {reason}"


@pytest.mark.parametrize("option", ["--two-stems", "--stems"])
def test_a_song_in_the_place_of_a_stem(tmp_path: Path, option: str) -> None:
    (tmp_path / "song.flac").write_bytes(b"")
    result = run(option, "song.flac", cwd=tmp_path)
    assert (result.code, result.stderr) == (
        2,
        "stemsplit: error: 'song.flac' is a file, not a stem\n"
        f"hint: {option} needs a stem before the file: {option} vocals song.flac\n",
    )


def test_a_song_named_like_a_format(song: Path, tmp_path: Path) -> None:
    song.rename(tmp_path / "mp3")
    assert run("-f", "mp3", "-n", "tiny.htdemucs", "--dry-run", cwd=tmp_path).code == 0


def test_a_song_named_like_a_stem(tmp_path: Path) -> None:
    """It is a song if it exists, and if no stems are listed before."""
    (tmp_path / "drums").write_bytes(b"")
    listed = run("song.wav", "--stems", "vocals", "drums", cwd=tmp_path)
    assert "drums: " in listed.stderr and "commas" not in listed.stderr
    missing = run("song.wav", "bass", cwd=tmp_path)
    assert "bass: no such file" in missing.stderr


@pytest.mark.parametrize(
    ("command", "usage"),
    [
        ("watch", "stemsplit watch [OPTIONS] FOLDER"),
        ("models pull", "stemsplit models pull [OPTIONS] NAME..."),
        ("models verify", "stemsplit models verify [OPTIONS] [NAME]..."),
        ("config show", "stemsplit config show [OPTIONS] [COMMAND]"),
        ("models convert", "stemsplit models convert [OPTIONS] FILE"),
    ],
)
def test_help_shows_names_not_types(tmp_path: Path, command: str, usage: str) -> None:
    shown = run(*command.split(), "--help", cwd=tmp_path).stdout
    assert shown.startswith(f"Usage: {usage}\n")
    assert not re.search(r"<(path|str|list\[\w+\])>", shown)


def test_the_list_of_commands_is_whole(tmp_path: Path) -> None:
    commands = run("models", "--help", cwd=tmp_path).stdout.partition("Commands:")[2]
    assert "for `-n FILE.safetensors`" in " ".join(commands.split())
    assert "..." not in commands


@pytest.mark.parametrize("columns", [60, 80])
def test_short_help_breaks_lines_between_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    for command in ([], ["watch"]):
        lines = run(*command, "-h", cwd=tmp_path).stdout.splitlines()
        assert all(len(line) <= columns for line in lines if "  stemsplit" not in line)
    assert any(line.startswith(" " * 25 + "for this long") for line in lines) == (columns == 60)
