"""Runs as processes: killed, interrupted, terminated, and two that train together."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from training import figures, files_of, options, run_whole, write_recipe, write_songs

from stemsplit.training.state import load_state

TESTS = Path(__file__).parent


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_songs(tmp_path_factory.mktemp("songs"))


def command(folder: Path, songs: Path, *further: str) -> list[str]:
    folder.mkdir(exist_ok=True)
    places = ["--data", str(songs), "--out", str(folder / "run"), "--device", "cpu"]
    recipe = str(write_recipe(folder))
    return [sys.executable, "-m", "stemsplit", "train", recipe, *places, *further]


def environment(**further: str) -> dict[str, str]:
    path = os.pathsep.join([str(TESTS), str(TESTS.parent), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **further}


def start(folder: Path, songs: Path, *further: str, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(folder, songs, *further),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**variables),
    )


def end(*processes: subprocess.Popen[str]) -> list[int]:
    """Return the exit codes of ``processes``."""
    for each in processes:
        each.communicate(timeout=120)
    return [each.returncode for each in processes]


def test_a_run_that_was_killed_equals_one_that_was_not(tmp_path: Path, songs: Path) -> None:
    run_whole(options(tmp_path / "whole", songs))
    folder = tmp_path / "killed"
    killer = ("--workers", "1", "--logger", "training:Killer")
    assert end(start(folder, songs, *killer, KILL_AFTER="5")) == [-signal.SIGKILL]
    assert not (tmp_path / "killed/run/states/step-00000006.safetensors").exists()
    assert end(start(folder, songs, "--workers", "1")) == [0]
    assert files_of(tmp_path / "whole/run") == files_of(folder / "run")
    assert figures(tmp_path / "whole/run") == figures(folder / "run")


def two(folder: Path, songs: Path, **variables: str) -> list[subprocess.Popen[str]]:
    """Start two processes that train together, as torchrun does."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    together = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, **variables}
    further = ("--logger", "training:Killer") if "KILL_AFTER" in variables else ()
    return [
        start(
            folder, songs, "--workers", "0", "--steps", "5", *further,
            RANK=str(rank), LOCAL_RANK=str(rank), **together,
        )
        for rank in range(2)
    ]  # fmt: skip


def test_two_processes_that_were_killed_equal_two_that_were_not(
    tmp_path: Path, songs: Path
) -> None:
    whole = two(tmp_path / "whole", songs)
    first, second = two(tmp_path / "killed", songs, KILL_AFTER="4")
    assert end(first) == [-signal.SIGKILL]
    second.kill()  # torchrun does
    assert end(*whole, second) == [0, 0, -signal.SIGKILL]
    assert end(*two(tmp_path / "killed", songs)) == [0, 0]
    assert files_of(tmp_path / "whole/run") == files_of(tmp_path / "killed/run")
    assert figures(tmp_path / "whole/run") == figures(tmp_path / "killed/run")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_the_step_and_ends(
    tmp_path: Path, songs: Path, number: signal.Signals, code: int
) -> None:
    process = start(tmp_path / "run", songs, "--steps", "100000", "--set", "validation.every=90000")
    for line in wait_for(tmp_path / "run/run/metrics.jsonl"):
        if '"step": 20' in line:
            break
    process.send_signal(number)
    assert end(process) == [code]
    assert load_state(tmp_path / "run/run/state.safetensors").values["progress"]["step"] >= 20
    assert not list((tmp_path / "run/run").glob("**/*.part"))


def wait_for(path: Path) -> Iterator[str]:
    """Yield the lines of ``path`` as they are written."""
    for _ in range(600):
        if path.exists():
            yield from path.read_text().splitlines()
        time.sleep(0.1)
    raise AssertionError(f"{path} was not written")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parents")
def test_a_process_ends_with_the_program_that_started_it(tmp_path: Path) -> None:
    """It would wait for the others in vain."""
    child = (
        "import time; from stemsplit.training import processes\n"
        "processes._end_with_parent(); print('ready', flush=True); time.sleep(120)\n"
    )
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE) as started:
        assert started.stdout is not None
        assert started.stdout.readline() == b"ready\n"
        started.kill()
        # It returns when the child has ended as well.
        assert started.communicate(timeout=20) == (b"", None)
