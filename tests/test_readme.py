"""What the README shows is run here, as a newcomer would."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from command import TINY, run

import stemsplit
from stemsplit.errors import ExitCode

README = (Path(__file__).parent.parent / "README.md").read_text()


def example(name: str) -> list[str]:
    """Return the command lines of the example that the README marks with ``name``."""
    found = re.search(rf"<!-- example: {name} -->\n```\w+\n(.*?)```", README, re.DOTALL)
    assert found, f"the README has no example {name!r}"
    return found[1].splitlines()


def test_the_commands_do_what_they_are_said_to(
    song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but the model, which is a small one here, and the format of the song."""
    monkeypatch.setenv("STEMSPLIT_MODEL", TINY)
    shutil.copy(song, tmp_path / "song.mp3")  # ffmpeg looks at the content
    for line in example("run"):
        program, *words = shlex.split(line, comments=True)
        assert program == "stemsplit"
        result = run(*words, cwd=tmp_path)
        assert result.code == 0, f"{line}: {result.stderr}"
    frames = soundfile.info(song).frames
    for name in (
        "separated/song/vocals.wav",
        "separated/song/no_vocals.wav",
        "out/song/drums.wav",
        "flacs/song/bass.flac",
        "mp3s/song/other.mp3",
        "flat/song - vocals.wav",
        "again/song/drums.wav",
    ):
        assert soundfile.info(tmp_path / name).frames == frames


def test_the_evaluations_are_what_they_are_said_to_be(
    song: Path,
    true_stems: dict[str, np.ndarray],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # BSS Eval of two stems takes a fifth of what it takes of four.
    monkeypatch.setenv("STEMSPLIT_MODEL", "tiny.unet")
    shutil.copy(song, tmp_path / "song.mp3")
    two = {name: true_stems[name] for name in ("vocals", "bass")}
    stems = {"true": two, "separated/song": two, "musdb18hq/test/A song": true_stems}
    for folder, tracks in stems.items():
        (tmp_path / folder).mkdir(parents=True)
        for name, stem in tracks.items():
            soundfile.write(tmp_path / folder / f"{name}.wav", stem.T[:22_050], 44_100)
    for line in example("evaluate"):
        program, *words = shlex.split(line, comments=True)
        assert program == "stemsplit"
        result = run(*words, cwd=tmp_path)
        assert result.code == 0, f"{line}: {result.stderr}"
        assert result.stdout
    assert (tmp_path / "new/song/vocals.wav").is_file()
    assert "<html" in (tmp_path / "report.html").read_text()
    assert len((tmp_path / "scores.csv").read_text().splitlines()) == 3
    assert "1 of 1 songs are done already" in result.stderr


def test_the_folders_are_split_as_is_said(
    song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEMSPLIT_MODEL", TINY)
    (tmp_path / "music/a").mkdir(parents=True, exist_ok=True)
    for name in ("music/a/b.flac", "music/a/was live.flac", "party.mp3"):
        shutil.copy(song, tmp_path / name)  # ffmpeg looks at the content
    (tmp_path / "party.m3u8").write_text("party.mp3\n")
    (tmp_path / "last").touch()
    os.utime(tmp_path / "last", (0, 0))
    for line in example("folders"):
        if "|" in line:
            line = line.replace("stemsplit", f"{sys.executable} -m stemsplit")
            subprocess.run(line, shell=True, check=True, cwd=tmp_path, stdout=subprocess.DEVNULL)
            continue
        program, *words = shlex.split(line, comments=True)
        assert program == "stemsplit"
        result = run(*words, cwd=tmp_path)
        assert result.code == 0, f"{line}: {result.stderr}"
    for name in ("stems/a/b", "separated/a/was live", "separated/party"):
        assert (tmp_path / name / "vocals.wav").is_file()


def test_the_files_for_other_programs_are_where_they_are_said_to_be(
    song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEMSPLIT_MODEL", TINY)
    shutil.copy(song, tmp_path / "song.mp3")
    for line in example("handoff"):
        command, _, comment = line.partition("#")
        program, *words = shlex.split(command)
        assert program == "stemsplit"
        result = run(*words, cwd=tmp_path)
        assert result.code == 0, f"{line}: {result.stderr}"
        assert set(re.findall(r"separated/\S+", comment)) <= set(result.lines)
    assert (tmp_path / "separated/song.stem.mp4").is_file()


def test_the_table_names_the_files_that_come_out(song: Path, tmp_path: Path) -> None:
    listed = set(re.findall(r"^\| `(separated/song/\w+\.wav)` \|", README, re.MULTILINE))
    assert listed == set(run(song, "-n", TINY, cwd=tmp_path).lines)


def test_the_exit_codes_are_all_there() -> None:
    table = README.partition("| exit code | meaning |")[2].partition("\n\n")[0]
    codes = {int(code) for row in re.findall(r"^\| ([\d, ]+) \|", table, re.MULTILINE)
             for code in row.split(",")}  # fmt: skip
    assert codes == set(ExitCode)


def test_the_python_example_runs(
    song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert source
    shutil.copy(song, tmp_path / "song.mp3")
    monkeypatch.chdir(tmp_path)
    small = source[1].replace('"htdemucs"', repr(TINY)).replace(
        '"song.mp3",', f'"song.mp3", model={TINY!r},'
    )  # fmt: skip
    names = {"mix": torch.zeros(2, 44_100)}
    exec(small, names)
    assert names["vocals"].shape == (2, 44_100)
    assert (tmp_path / "separated/song/vocals.wav").is_file()


def test_the_python_example_of_many_files_runs(
    song: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = re.search(r"```python\n(from stemsplit import split_files.*?)```", README, re.DOTALL)
    assert source
    (tmp_path / "night/music").mkdir(parents=True)
    shutil.copy(song, tmp_path / "night/music/song.wav")
    monkeypatch.chdir(tmp_path / "night")
    exec(source[1].replace('"music",', f'"music", model={TINY!r},'), {})
    *progress, result = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"song.wav: 100%, \d+\.\d × real time", progress[-1])
    assert result.startswith("music/song.wav done {'drums': ")
    assert (tmp_path / "night/stems/song/vocals.flac").is_file()


def test_the_license_of_the_weights_is_told() -> None:
    model = next(m for m in stemsplit.list_models() if m.name == "htdemucs")
    assert "scientific purposes" in model.licence
    assert "only for scientific purposes" in README.replace("\n", " ")
