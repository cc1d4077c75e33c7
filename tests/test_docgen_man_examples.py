"""The examples of the man pages that need a shell or another program do what they say."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command import TINY, files_below

from stemsplit.docgen.pages import PAGES

ROOT = Path(__file__).parents[1]
EXAMPLES = [text for page in PAGES.values() for text in page.examples.values()]


@pytest.fixture
def shell(tmp_path: Path) -> dict[str, str]:
    """Return the environment of a person who has the program on the PATH, and a small model."""
    program = tmp_path / "bin/stemsplit"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m stemsplit "$@"\n')
    program.chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{program.parent}{os.pathsep}/usr/bin{os.pathsep}/bin",
        "PYTHONPATH": str(ROOT),
        "STEMSPLIT_MODEL": TINY,
    }


def example(*words: str) -> str:
    """Return the one example that has these words."""
    (found,) = [text for text in EXAMPLES if all(word in text for word in words)]
    return found


def type_in(
    line: str, folder: Path, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", line], cwd=folder, env=environment, capture_output=True, text=True
    )


def needs(program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"no {program} here")


def test_the_rule_of_a_makefile(song: Path, tmp_path: Path, shell: dict[str, str]) -> None:
    needs("make")
    songs = tmp_path / "songs"
    songs.mkdir()
    # The content decides what a song is, but the rule only considers names.
    for name in ("one.mp3", "two.mp3"):
        shutil.copy(song, songs / name)
    # As it is copied from the screen, where a tab is spaces.
    (songs / "Makefile").write_text(f"{example('wildcard')}\n".expandtabs())
    made = type_in("make -j2 all", songs, shell)
    assert made.returncode == 0, made.stderr
    assert files_below(songs / "stems") == ["one/vocals.wav", "two/vocals.wav"]
    assert "Nothing to be done" in type_in("make all", songs, shell).stdout
    (songs / "two.mp3").touch()
    (songs / "one.mp3").write_bytes(b"RIFF")
    again = type_in("make -k all", songs, shell)
    assert again.returncode == 2
    assert "stems/two/vocals.wav" in again.stdout
    assert "one.mp3: " in again.stderr


def test_the_line_of_a_crontab(song: Path, tmp_path: Path, shell: dict[str, str]) -> None:
    line = example("0 3 * * *")
    assert re.match(r"(\d+ \d+) \* \* \* /usr/local/bin/stemsplit ", line)
    assert "%" not in line  # cron makes a newline of it
    command = line.split(" ", 5)[5].replace("/usr/local/bin/", "")
    (tmp_path / "srv/music/live").mkdir(parents=True)
    shutil.copy(song, tmp_path / "srv/music/live/a song.wav")
    command = command.replace("/srv/", f"{tmp_path}/srv/")
    # What cron gives to a command is little.
    few = {name: shell[name] for name in ("PATH", "PYTHONPATH", "STEMSPLIT_MODEL")}
    few |= {"HOME": str(tmp_path), "STEMSPLIT_CONFIG": os.devnull}
    for _ in range(2):
        done = type_in(command, tmp_path, few)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert "live/a song/vocals.wav" in files_below(tmp_path / "srv/out")
    (tmp_path / "srv/music/bad.wav").write_bytes(b"RIFF")
    failed = type_in(command, tmp_path, few)
    assert (failed.returncode, failed.stdout) == (6, "")
    assert failed.stderr.startswith("stemsplit: error: ")


def test_the_lines_with_programs_of_every_system(
    song: Path, tmp_path: Path, shell: dict[str, str]
) -> None:
    music = tmp_path / "found"
    (music / "with spaces").mkdir(parents=True)
    for name in ("with spaces/a\nb.flac", "c.flac"):
        shutil.copy(song, music / name)
    found = type_in(example("xargs"), music, shell)
    assert (found.returncode, found.stderr) == (0, "")
    assert len(list((music / "stems").rglob("vocals.wav"))) == 2
    assert type_in(example("xargs"), music, shell).stdout == ""
    shutil.copy(song, music / "song.mp3")
    piped = example("ffplay").replace("ffplay -", "wc -c")
    played = type_in(piped, music, shell)
    assert int(played.stdout) > song.stat().st_size // 2
    kept = example("report.txt")
    assert type_in(kept, music, shell).stdout == (music / "report.txt").read_text() != ""
    assert type_in(example("^!"), music, shell).stdout == ""
    settled = type_in(example("not set"), music, shell).stdout.splitlines()
    assert [line.split(" ")[0] for line in settled] == ["model"]


def test_the_line_with_jq(song: Path, tmp_path: Path, shell: dict[str, str]) -> None:
    needs("jq")
    shutil.copy(song, tmp_path / "song.mp3")
    paths = type_in(example("jq", "song.mp3"), tmp_path, shell).stdout.splitlines()
    assert [Path(path).name for path in paths] == [
        f"{stem}.wav" for stem in ("drums", "bass", "other", "vocals")
    ]
