"""Watching a folder: what is complete is split, once, and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
from audio_files import noise, run_ffmpeg, store, store_wav
from command import TINY, files_below, run

from stemsplit.batch.settled_files import PATIENCE, SettledFiles, seems_complete


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty folder to watch."""
    monkeypatch.setenv("STEMSPLIT_MODEL", TINY)
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def store_noise(path: Path, seed: int) -> Path:
    soundfile.write(path, np.random.default_rng(seed).normal(0, 0.1, (11_025, 2)), 44_100)
    return path


@contextmanager
def watching(*words: str, cwd: Path) -> Iterator[subprocess.Popen[str]]:
    """A watch of the folder ``in``, killed if it takes too long."""
    program = [sys.executable, "-m", "stemsplit", "watch", "in", "--settle", "0.5"]
    fast = ["--interval", "0.1", "--stems", "vocals", "--json", "--progress", "none"]
    process = subprocess.Popen(
        [*program, *fast, *words],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    guard = threading.Timer(120, process.kill)
    guard.start()
    assert process.stderr
    assert process.stderr.readline() == "watching in\n"
    yield process
    guard.cancel()


def records(process: subprocess.Popen[str], count: int) -> dict[str, str]:
    """Return what became of the next ``count`` songs."""
    assert process.stdout
    told = [json.loads(process.stdout.readline()) for _ in range(count)]
    return {record["input"]: record["status"] for record in told}


def stop(process: subprocess.Popen[str], number: signal.Signals) -> str:
    """Stop the watch, and return what it has written to stderr; there were no more records."""
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "")
    return err


def test_songs_are_split_when_they_are_complete(folder: Path, tmp_path: Path) -> None:
    """Copied slowly, renamed into place, two at once; with a text and a broken file beside."""
    songs = [store_noise(tmp_path / f"{number}.wav", number) for number in range(4)]
    with watching(cwd=tmp_path) as process:
        data = songs[0].read_bytes()
        with (folder / "slow.wav").open("wb") as file:
            for piece in range(8):
                file.write(data[piece * len(data) // 8 : (piece + 1) * len(data) // 8])
                file.flush()
                time.sleep(0.2)
        assert records(process, 1) == {"in/slow.wav": "done"}
        shutil.copy(songs[1], folder / "moved.wav.part")
        (folder / "moved.wav.part").rename(folder / "moved.wav")
        assert records(process, 1) == {"in/moved.wav": "done"}
        (folder / "album").mkdir()
        shutil.copy(songs[2], folder / "album/2.wav")
        shutil.copy(songs[3], folder / "3.wav")
        assert records(process, 2) == {"in/album/2.wav": "done", "in/3.wav": "done"}
        (folder / "notes.txt").write_text("la la la")
        (folder / "bad.wav").write_bytes(b"RIFF\0\0\0\0WAVE")
        assert records(process, 1) == {"in/bad.wav": "failed"}
        shutil.copy(songs[1], folder / "slow.wav")
        assert records(process, 1) == {"in/slow.wav": "done"}
        err = stop(process, signal.SIGTERM)
    assert err.count("bad.wav") == 1
    assert err.endswith("stopped: 5 done, 0 skipped, 1 failed\n")
    split = ["3/vocals.wav", "album/2/vocals.wav", "moved/vocals.wav", "slow/vocals.wav"]
    assert files_below(tmp_path / "separated") == split
    run(songs[1], "--stems", "vocals", "-o", "plain", cwd=tmp_path)
    plain = (tmp_path / "plain/1/vocals.wav").read_bytes()
    for name in ("slow", "moved"):
        assert (tmp_path / f"separated/{name}/vocals.wav").read_bytes() == plain


def test_a_restart_does_only_what_is_missing(folder: Path, tmp_path: Path) -> None:
    store_noise(folder / "1.wav", 1)
    with watching(cwd=tmp_path) as process:
        assert records(process, 1) == {"in/1.wav": "done"}
        stop(process, signal.SIGINT)
    store_noise(folder / "2.wav", 2)
    with watching(cwd=tmp_path) as process:
        assert records(process, 2) == {"in/1.wav": "skipped", "in/2.wav": "done"}
        stop(process, signal.SIGHUP)


@pytest.mark.parametrize("way", ["--update", "--force"])
def test_stems_made_with_other_settings_are_reported_once(
    folder: Path, tmp_path: Path, way: str
) -> None:
    store_noise(folder / "1.wav", 1)
    with watching(cwd=tmp_path) as process:
        assert records(process, 1) == {"in/1.wav": "done"}
        stop(process, signal.SIGINT)
    with watching("--depth", "16", cwd=tmp_path) as process:
        assert records(process, 1) == {"in/1.wav": "failed"}
        time.sleep(1.5)  # several looks
        told = stop(process, signal.SIGINT)
    assert told.count("were made with tiny.htdemucs, whole song, depth 32f") == 1
    with watching("--depth", "16", way, cwd=tmp_path) as process:
        assert records(process, 1) == {"in/1.wav": "done"}
        stop(process, signal.SIGINT)


def test_new_songs_only_in_a_folder_that_disappears_and_returns(
    folder: Path, tmp_path: Path
) -> None:
    store_noise(folder / "old.wav", 1)
    with watching("--new-only", cwd=tmp_path) as process:
        assert process.stderr
        folder.rename(tmp_path / "away")
        assert process.stderr.readline() == "in is gone; waiting for it\n"
        store_noise(tmp_path / "away/new.wav", 2)
        (tmp_path / "away").rename(folder)
        assert records(process, 1) == {"in/new.wav": "done"}
        assert process.stderr.readline() == "in is back\n"
        stop(process, signal.SIGTERM)


def test_what_looks_unfinished_has_to_wait(folder: Path, tmp_path: Path) -> None:
    growing = store_wav(folder / "growing.wav", noise(4410), promised=0)
    whole = store_wav(folder / "whole.wav", noise(4410))
    arrivals = SettledFiles(folder, tmp_path / "out", settle=2)
    assert arrivals.look(100.0) == []
    assert arrivals.look(101.9) == []
    assert sorted(due := arrivals.look(102.0)) == [growing, whole]
    assert list(arrivals.choose(due, {growing, whole})) == [whole]
    assert arrivals.look(100 + 2 * PATIENCE - 0.1) == []
    assert (due := arrivals.look(100.0 + 2 * PATIENCE)) == [growing]
    assert list(arrivals.choose(due, {growing, whole})) == [growing]
    assert arrivals.look(1000.0) == []
    store_wav(growing, noise(4410))
    assert arrivals.look(1001.0) == []
    assert arrivals.look(1003.0) == [growing]


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.m4a", "a.ogg", "a.mp3"])
def test_half_of_a_file_is_not_complete(name: str, tmp_path: Path) -> None:
    whole = store(tmp_path / name, noise(88_200), 44_100)
    assert seems_complete(whole)
    whole.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert not seems_complete(whole)


def test_a_stream_of_flac_announces_no_length(tmp_path: Path) -> None:
    whole = store(tmp_path / "a.flac", noise(44_100), 44_100)
    streamed = tmp_path / "streamed.flac"
    streamed.write_bytes(run_ffmpeg("-i", str(whole), "-f", "flac", "pipe:1"))
    assert not seems_complete(streamed)
    recorded = store(tmp_path / "recorded.ogg", noise(44_100), 44_100)
    assert seems_complete(recorded)
    data = recorded.read_bytes()
    recorded.write_bytes(data[: data.rfind(b"OggS")])  # whole pages, and more to come
    assert not seems_complete(recorded)
    copied = store_wav(tmp_path / "copied.wav", noise(44_000), promised=44_100 * 4)
    assert not seems_complete(copied)


def test_records_without_a_reader_end_the_watch(folder: Path, tmp_path: Path) -> None:
    store_noise(folder / "one.wav", 1)
    words = ["watch", "in", "--settle", "0.1", "--interval", "0.1", "--stems", "vocals", "--json"]
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "stemsplit", *words, "-q"],
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
        )
    assert (ended.returncode, ended.stderr) == (
        5,
        "stemsplit: error: standard output cannot be written: No space left on device\n"
        "hint: free some space on the disk\n",
    )
    assert files_below(tmp_path / "separated") == ["one/vocals.wav"]


def test_what_is_not_watched(folder: Path, tmp_path: Path) -> None:
    for name in (
        "song.wav",
        ".hidden.wav",
        "song.mp3.crdownload",
        "out/song/vocals.wav",
        "a/b.ogg",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    os.symlink(folder, folder / "a/loop")
    os.symlink(folder / "nowhere.wav", folder / "dangling.wav")
    arrivals = SettledFiles(folder, folder / "out", settle=1)
    assert arrivals.look(0.0) == []
    assert sorted(arrivals.look(1.0)) == [folder / "a/b.ogg", folder / "song.wav"]
    assert run("watch", "nowhere", cwd=tmp_path).code == 3
    assert run("watch", "in", "-o", "-", cwd=tmp_path).code == 2


def test_the_current_folder_can_be_watched(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store_wav(folder / "a.wav", noise(4410))
    monkeypatch.chdir(folder)
    song = Path("a.wav")
    arrivals = SettledFiles(Path(), Path("out"), settle=1)
    assert arrivals.look(0.0) == []
    assert list(arrivals.choose(arrivals.look(1.0), {song})) == [song]
