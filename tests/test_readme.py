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

README = (Path(__file__).parent.parent / "README.md").read_text()


def example(name: str) -> list[str]:
    """Return the command lines of the example that the README marks with ``name``."""
    found = re.search(rf"<!-- example: {name} -->\n```\w+\n(.*?)```", README, re.DOTALL)
    assert found, f"the README has no example {name!r}"
    return found[1].splitlines()


def test_the_commands_do_what_the_readme_says(
    song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but the model, which is a small one here, and the format of the song."""
    monkeypatch.setenv("STEMSPLIT_MODEL", TINY)
    shutil.copy(song, tmp_path / "song.mp3")  # ffmpeg looks at the content
    for line in (*example("run"), *example("karaoke")):
        line = line.replace("--start 1:30 --end 2:00", "--start 0.2 --end 0.5")
        program, *words = shlex.split(line, comments=True)
        assert program == "stemsplit"
        result = run(*words, cwd=tmp_path)
        assert result.code == 0, f"{line}: {result.stderr}"
    frames = soundfile.info(song).frames
    for name in (
        "separated/song/vocals.wav",
        "out/song/drums.wav",
        "flacs/song/bass.flac",
        "flat/song - vocals.wav",
        "exact/song/drums.wav",
        "karaoke/song/no_vocals.mp3",
        "quiet/song/karaoke.wav",
        "parts/song/instrumental.wav",
    ):
        assert soundfile.info(tmp_path / name).frames == frames
    part = "part/song [0m00.2s-0m00.5s]/vocals.wav"
    assert soundfile.info(tmp_path / part).frames == round(0.3 * 44_100)


def test_the_evaluations_are_as_the_readme_says(
    song: Path,
    true_stems: dict[str, np.ndarray],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # BSS Eval of two stems takes a fifth of what it takes of four.
    monkeypatch.setenv("STEMSPLIT_MODEL", "tiny.unet")
    shutil.copy(song, tmp_path / "song.mp3")
    two = {name: true_stems[name] for name in ("vocals", "bass")}
    folders = ("true", "separated/song", "kim", "scnet")
    stems = dict.fromkeys(folders, two) | {"musdb18hq/test/A song": true_stems}
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
    assert "<html" in (tmp_path / "report.html").read_text()
    assert len((tmp_path / "scores.csv").read_text().splitlines()) == 3
    assert "<html" in (tmp_path / "compare.html").read_text()


def test_the_folders_are_split_as_the_readme_says(
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


def test_the_files_for_other_programs_are_where_the_readme_says(
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


def test_the_python_example_runs(
    song: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert source
    shutil.copy(song, tmp_path / "song.mp3")
    monkeypatch.chdir(tmp_path)
    small = source[1].replace('"htdemucs"', repr(TINY))
    for name in ("song.mp3", "music"):
        small = small.replace(f'"{name}",', f'"{name}", model={TINY!r},')
    names = {"mix": torch.zeros(2, 44_100)}
    exec(small, names)
    assert names["vocals"].shape == (2, 44_100)
    assert (tmp_path / "separated/song/vocals.wav").is_file()
    assert capsys.readouterr().out.startswith("music/song.wav done {'drums': ")
    assert (tmp_path / "stems/song/vocals.flac").is_file()


def test_the_licence_of_the_default_weights_is_stated() -> None:
    model = next(m for m in stemsplit.list_models() if m.name == "htdemucs")
    assert "scientific purposes" in model.licence
    assert "only for scientific purposes" in README.replace("\n", " ")


def test_it_is_short_and_its_pictures_and_pages_exist() -> None:
    assert len(README.splitlines()) <= 220
    paths = re.findall(r"\]\((\.github/[\w./]+)\)", README)
    assert len(paths) >= 5
    assert all((Path(__file__).parent.parent / path).is_file() for path in paths)


def test_training_works_as_the_readme_says(
    song: Path, true_stems: dict[str, np.ndarray], tmp_path: Path
) -> None:
    """With fewer steps, and less to validate on."""
    shutil.copy(song, tmp_path / "song.mp3")
    for name in ("one", "two"):
        (tmp_path / "songs" / name).mkdir(parents=True)
        for stem, sound in true_stems.items():
            part = sound.T[: len(sound.T) // 2] if name == "one" else sound.T[len(sound.T) // 2 :]
            soundfile.write(tmp_path / "songs" / name / f"{stem}.wav", part, 44_100)
    short = ["--steps", "1", "--set", "batch=1", "--set", "validation.seconds=1"]
    for line in example("train"):
        program, *words = shlex.split(line, comments=True)
        assert program == "stemsplit"
        result = run(*words, *(short if words[0] == "train" else []), cwd=tmp_path)
        assert result.code == 0, f"{line}: {result.stderr}"
    assert soundfile.info(tmp_path / "mine/song/vocals.wav").frames == soundfile.info(song).frames
