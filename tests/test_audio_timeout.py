"""An ffmpeg that produces no output is stopped; a slow one, or one that is not read, is not."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
from audio_files import noise, store
from command import TINY, run

from stemsplit.audio.ffmpeg import Process, find_ffmpeg
from stemsplit.audio.timeout import DEFAULT_SECONDS, timeout_seconds
from stemsplit.errors import ExitCode, InputError, ResourceError, UsageError

SECONDS = 1.0


def python(code: str, **facts: object) -> Process:
    return Process([sys.executable, "-c", code], timeout=SECONDS, **facts)  # type: ignore[arg-type]


def write(pieces: int, every: float) -> str:
    loop = f"sys.stdout.buffer.write(b'x' * 10); sys.stdout.flush(); time.sleep({every})"
    return f"import sys, time\nfor _ in range({pieces}): {loop}"


@pytest.fixture
def hanging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An ffmpeg that answers what a song is, and then hangs; it may do so for a second."""
    program = tmp_path / "ffmpeg"
    real = find_ffmpeg()
    program.write_text(
        f'#!/bin/sh\ncase "$*" in *pcm_f32le*) sleep 600;; esac\nexec "{real}" "$@"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("STEMSPLIT_FFMPEG", str(program))
    monkeypatch.setenv("STEMSPLIT_FFMPEG_TIMEOUT", str(SECONDS))


def test_without_a_byte_for_the_time_it_is_ended(tmp_path):
    start = time.monotonic()
    song = tmp_path / "song.mp3"
    with python("import time; time.sleep(600)", file=song) as process:
        with pytest.raises(InputError, match="produced no output for 1 s and was stopped") as e:
            process.read(10)
        assert process._process.wait(5) != 0
    assert e.value.path == str(song)
    assert "STEMSPLIT_FFMPEG_TIMEOUT" in (e.value.hint or "")
    assert SECONDS <= time.monotonic() - start < 20


def test_one_that_ends_its_output_and_not_itself_is_ended_too(tmp_path):
    code = "import os, time; os.close(1); time.sleep(600)"
    with python(code, file=tmp_path / "song.mp3") as process:
        assert process.read(10) == b""
        with pytest.raises(InputError, match="produced no output for 1 s"):
            process.finish()


def test_without_a_file_it_is_ffmpeg_that_does_not_work():
    reason = "ffmpeg does not work: no answer in 1 s"
    silent = python("import time; time.sleep(600)")
    with silent as process, pytest.raises(ResourceError, match=reason):
        process.read(10)


def test_a_slow_one_that_gives_something_within_the_time_is_read_to_its_end():
    """In all it takes three times the time, and a single call of ``read`` does."""
    with python(write(10, every=0.3 * SECONDS)) as process:
        assert process.read(1000) == b"x" * 100
        assert process.finish() == 0


def test_a_slow_reader_is_not_timed_out():
    """A network may need minutes for what it has read; nothing arrives meanwhile."""
    with python(write(3, every=0)) as process:
        assert process.read(10) == b"x" * 10
        time.sleep(3 * SECONDS)
        assert process.read(20) == b"x" * 20
        assert process.finish() == 0


def test_the_song_fails_and_the_next_one_does_not(hanging, tmp_path):
    music = tmp_path / "music"
    music.mkdir()
    store(music / "a.aiff", noise(44_100), 44_100)
    start = time.monotonic()
    done = run(music, "-n", TINY, "-o", tmp_path / "out", cwd=tmp_path)
    assert done.code == ExitCode.FILE
    reason = "cannot be decoded: ffmpeg produced no output for 1 s and was stopped"
    assert f"a.aiff: {reason}" in done.stderr
    assert time.monotonic() - start < 60
    assert not list((tmp_path / "out").rglob("*.wav"))


def test_the_variable_is_a_number_of_seconds(monkeypatch):
    assert timeout_seconds() == DEFAULT_SECONDS == 60
    monkeypatch.setenv("STEMSPLIT_FFMPEG_TIMEOUT", "2.5")
    assert timeout_seconds() == 2.5
    for wrong in ("0", "-1", "inf", "nan", "soon"):
        monkeypatch.setenv("STEMSPLIT_FFMPEG_TIMEOUT", wrong)
        with pytest.raises(UsageError, match="number of seconds above 0"):
            timeout_seconds()
