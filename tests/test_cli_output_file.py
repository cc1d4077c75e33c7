"""``--out vocals.mp3``: a file for one stem of one song, else an error."""

from __future__ import annotations

from pathlib import Path

import pytest
from command import TINY, files_below, run

from stemsplit.audio.probe import probe

ONE = ("-n", TINY, "--stems", "vocals")


def test_one_stem_goes_to_the_file(song: Path, tmp_path: Path) -> None:
    result = run(song, *ONE, "-o", "made/{my} vocals.MP3", cwd=tmp_path)
    assert (result.code, result.lines) == (0, ["made/{my} vocals.MP3"])
    assert files_below(tmp_path / "made") == ["{my} vocals.MP3"]
    assert probe(tmp_path / result.lines[0]).codec == "mp3"
    again = run(song, *ONE, "-o", "made/{my} vocals.MP3", cwd=tmp_path)
    assert (again.code, again.lines) == (0, [])


@pytest.mark.parametrize(
    ("words", "written"),
    [
        ("-o v.flac --int24", "v.flac"),
        ("-o v.m4a --format alac", "v.m4a"),
        ("-o v.aif", "v.aif"),
        ("-o v.wav --format wav", "v.wav"),
        ("-o v.stem.mp4 --start 0.1", "v.stem.mp4"),
        ("-o v1.2", "v1.2/song/vocals.wav"),
        ("-o v.mp3/", "v.mp3/song/vocals.wav"),
    ],
)
def test_the_extension_decides_whether_it_is_a_file_and_its_format(
    words: str, written: str, song: Path, tmp_path: Path
) -> None:
    one = ONE if "stem.mp4" not in words else ONE[:2]
    if written.startswith("v.mp3/"):
        (tmp_path / "v.mp3").mkdir()
    result = run(song, *one, *words.split(), "--dry-run", cwd=tmp_path)
    assert (result.code, result.lines) == (0, [written])


def test_settings_for_another_format_do_not_matter(
    song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEMSPLIT_FORMAT", "flac")
    monkeypatch.setenv("STEMSPLIT_DEPTH", "24")
    result = run(song, *ONE, "-o", "v.mp3", "--dry-run", cwd=tmp_path)
    assert (result.code, result.lines) == (0, ["v.mp3"])


@pytest.mark.parametrize("name", ["v.txt", "v.mp4", "v.AAC", "v.wma"])
def test_a_file_of_another_kind_is_an_error(name: str, song: Path, tmp_path: Path) -> None:
    result = run(song, *ONE, "-o", name, cwd=tmp_path)
    error, hint = result.stderr.splitlines()
    suffix = Path(name).suffix.lower()
    assert result.code == 2
    assert error == f"stemsplit: error: --out {name}: stemsplit does not write {suffix} files"
    assert hint.startswith("hint: use .wav, .aiff, .flac, ") and ".stem.mp4" in hint
    (tmp_path / name).mkdir()
    assert run(song, *ONE, "-o", name, "--dry-run", cwd=tmp_path).code == 0


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("song.wav -o v.mp3", "is a file for one stem, but there are 4 stems"),
        ("song.wav -o v.mp3 --two-stems vocals", "is a file for one stem, but there are 2 stems"),
        ("song.wav other.wav -o v.mp3 --stems bass", "is a file for one stem of one song"),
        (". -o v.mp3 --stems bass", "is a file for one stem of one song"),
        ("*.wav -o v.mp3 --stems bass", "is a file for one stem of one song"),
        ("--files-from list -o v.mp3 --stems bass", "is a file for one stem of one song"),
        ("song.wav -o v.mp3 --stems bass --flac", "is in a different format from --format flac"),
        (
            "song.wav -o v.mp3 --stems bass --filename x",
            "is a file: it cannot be used with --filename",
        ),
        ("watch . -o v.mp3 --stems bass", "is a file for one stem of one song"),
    ],
)
def test_anything_else_is_an_error(words: str, reason: str, tmp_path: Path) -> None:
    for name in ("song.wav", "other.wav", "list"):
        (tmp_path / name).touch()
    command, *rest = words.split()
    result = run(command, *rest, "-n", TINY, cwd=tmp_path)
    assert result.code == 2
    assert f"--out v.mp3 {reason}" in result.stderr
    assert not (tmp_path / "v.mp3").exists()
