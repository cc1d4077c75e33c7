"""Several devices share a folder: here two processes on one CPU."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from command import TINY, files_below, run
from test_batch_night import make_library, tree


@pytest.fixture(autouse=True)
def _tiny_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMSPLIT_MODEL", TINY)


def start(cwd: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start a run on two devices, in a separate process group, as a shell does."""
    return subprocess.Popen(
        [sys.executable, "-m", "stemsplit", "library", "--device", "cpu,cpu", *arguments],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def workers(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Return the processes of the crew, when both split: each is writing stems."""
    for _ in range(600):
        found = [
            child
            for child in psutil.Process(process.pid).children()
            if any("/.stemsplit-" in file.path for file in child.open_files())
        ]
        if len(found) == 2:
            return found
        assert process.poll() is None, "it ended too early"
        time.sleep(0.05)
    raise AssertionError("two processes have never split at the same time")


def test_two_devices_write_the_same_stems_as_one(tmp_path: Path) -> None:
    make_library(tmp_path / "library", 5)
    (tmp_path / "library/bad.mp3").write_bytes(b"ID3 is all there is")
    assert run("library", "-o", "one", "-qq", cwd=tmp_path).code == 6
    result = run("library", "-o", "two", "--device", "cpu,cpu", "--json", cwd=tmp_path)
    assert result.code == 6
    inputs = {Path(record["input"]).name: record["status"] for record in result.records}
    assert len(result.records) == len(inputs) == 6
    assert inputs.pop("bad.mp3") == "failed"
    assert set(inputs.values()) == {"done"}
    assert tree(tmp_path / "two") == tree(tmp_path / "one")
    counts, failure = result.stderr.splitlines()[-2:]
    assert counts == "5 done, 0 skipped, 1 failed"
    assert failure.startswith("  failed   library/bad.mp3: not an audio file")
    assert "6 songs on cpu, cpu: 100 %, 6 of 6" in result.stderr.splitlines()


@pytest.mark.slow
def test_events_of_all_devices_are_objects(tmp_path: Path) -> None:
    make_library(tmp_path / "library", 2)
    result = run("library", "--device", "cpu,cpu", "--progress", "ndjson", cwd=tmp_path)
    events = [json.loads(line) for line in result.stderr.splitlines()]
    finished = [event["input"] for event in events if event["event"] == "finished"]
    assert sorted(finished) == ["library/0.wav", "library/album/1.wav"]


@pytest.mark.parametrize(
    ("devices", "code", "message"),
    [("cpu,cuda:9", 5, "no device 'cuda:9' on this machine"), ("cpu,", 2, "unknown device ''")],
)
def test_a_missing_device(devices: str, code: int, message: str, tmp_path: Path) -> None:
    make_library(tmp_path / "library", 2)
    result = run("library", "--device", devices, cwd=tmp_path)
    assert (result.code, message in result.stderr) == (code, True)
    assert files_below(tmp_path / "separated") == []


def test_one_song_needs_one_device(tmp_path: Path) -> None:
    make_library(tmp_path / "library", 1)
    result = run("library", "--device", "cpu,cuda:9", cwd=tmp_path)
    assert (result.code, len(result.lines)) == (0, 4)


def test_a_defect_in_a_process_is_shown_with_where_it_comes_from(tmp_path: Path) -> None:
    make_library(tmp_path / "library", 2)
    (tmp_path / "sitecustomize.py").write_text(
        "from stemsplit.batch.prepare import Preparation\n"
        "def prepare_badly(*_): raise ValueError('out of tune')\n"
        "Preparation.prepare = prepare_badly\n"
    )
    folders = (tmp_path, *sys.path)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))}
    command = (sys.executable, "-m", "stemsplit", "library", "--device", "cpu,cpu")
    for option, shown in (("--json", 0), ("--debug", 2)):
        ended = subprocess.run(
            [*command, option], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert ended.returncode == 1
        assert ended.stderr.count("in prepare_badly\n") == shown, ended.stderr
        assert ended.stderr.count("error: library/") == 2


def test_songs_without_a_remaining_process_report_what_ended_it(tmp_path: Path) -> None:
    """Both die before they ask for a song, so neither is started again."""
    make_library(tmp_path / "library", 3)
    (tmp_path / "sitecustomize.py").write_text(
        "import os, signal, sys\n"
        "if '--multiprocessing-fork' in sys.argv:\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    folders = (tmp_path, *sys.path)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))}
    command = (sys.executable, "-m", "stemsplit", "library", "--device", "cpu,cpu", "--json")
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ended.returncode == 5, ended.stderr
    assert [json.loads(line)["error"] for line in ended.stdout.splitlines()] == [
        "library/0.wav: the process on cpu died (SIGKILL)",
        "library/album/1.wav: skipped because library/0.wav failed",
        "library/album/2.wav: skipped because library/0.wav failed",
    ]
    assert files_below(tmp_path / "separated") == []


def test_after_a_failure_the_rest_is_skipped_if_requested(tmp_path: Path) -> None:
    make_library(tmp_path / "library", 2)
    result = run("library", "nosuch\0file", "--device", "cpu,cpu", "--fail-fast", cwd=tmp_path)
    assert result.code == 3
    assert files_below(tmp_path) == ["library/0.wav", "library/album/1.wav"]


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_it_ends_with_all_its_processes(number: signal.Signals, tmp_path: Path) -> None:
    make_library(tmp_path / "library", 6, seconds=20)
    process = start(tmp_path, "--shifts", "4")
    family = [process.pid, *(child.pid for child in workers(process))]
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # a terminal sends it to all
    else:
        process.send_signal(number)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 128 + number
    assert stderr.splitlines()[-1] == f"stemsplit: error: {_WORDS[number]}"
    assert "Traceback" not in stderr
    assert not [pid for pid in family if psutil.pid_exists(pid)]
    hidden = [name for name in files_below(tmp_path) if "/.stemsplit-" in name]
    assert hidden == []


_WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


@pytest.mark.slow
def test_songs_of_a_killed_process_are_finished_by_others(tmp_path: Path) -> None:
    make_library(tmp_path / "library", 5, seconds=3)
    process = start(tmp_path, "--json")
    workers(process)[0].kill()
    stdout, stderr = process.communicate(timeout=300)
    assert process.returncode == 0, stderr
    assert [json.loads(line)["status"] for line in stdout.splitlines()] == ["done"] * 5
    assert "stemsplit: warning: the process on cpu died (SIGKILL)" in stderr
    assert len(files_below(tmp_path / "separated")) == 20
