"""The entry point: commands, signals, and what is left when it is stopped."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile
from command import TINY, files_below, run

from stemsplit.cli.app import choose_command
from stemsplit.cli.commands import COMMANDS


@pytest.mark.parametrize(
    ("arguments", "command", "rest"),
    [
        (["song.mp3"], "split", ["song.mp3"]),
        (["split", "song.mp3"], "split", ["song.mp3"]),
        (["models", "list"], "models", ["list"]),
        (["./models"], "split", ["./models"]),
        (["-n", "models", "x"], "split", ["-n", "models", "x"]),
        (["--", "models"], "split", ["--", "models"]),
        ([], "split", []),
    ],
)
def test_a_first_word_that_is_not_a_command_is_a_file(
    arguments: list[str], command: str, rest: list[str]
) -> None:
    assert choose_command(arguments) == (command, rest)


def test_only_a_process_of_its_own_collects_garbage_rarely() -> None:
    program = (
        "import gc, sys, atexit; from stemsplit.cli import main; usual = gc.get_threshold();"
        "main(['--version']); assert gc.get_threshold() == usual;"
        "atexit.register(lambda: print(gc.get_threshold()[0]));"
        "sys.argv[1:] = ['--version']; from stemsplit.__main__ import run; run()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "20000"


def test_the_process_ends_after_its_exit_handlers_without_taking_down_objects() -> None:
    program = (
        "import atexit, sys; from stemsplit.cli.app import run_process\n"
        "class Kept:\n"
        "    def __del__(self): print('taken down')\n"
        "kept = Kept(); sys.argv[1:] = ['-n', 'nosuch', 'song.wav']\n"
        "from stemsplit.cli import app; late = app.main\n"
        "app.main = lambda: (atexit.register(print, 'handled'), late())[1]\n"
        "run_process()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "handled\n")
    assert done.stderr.startswith("stemsplit: error: no model 'nosuch'")


def test_exit_handlers_of_others_are_run() -> None:
    program = (
        "import atexit, sys; from stemsplit.cli.app import run_process;"
        "atexit.register(print, 'handled'); sys.argv[1:] = ['--version']; run_process()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout.splitlines()[1:]) == (0, ["handled"])


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, tmp_path: Path) -> None:
    result = run(command, "--help", cwd=tmp_path)
    assert (result.code, result.stderr) == (0, "")
    assert result.stdout.startswith("Usage: stemsplit")


def test_models_without_a_command_shows_its_help(tmp_path: Path) -> None:
    result = run("models", cwd=tmp_path)
    assert (result.code, result.stdout) == (2, "")
    assert result.stderr.startswith("Usage: stemsplit models")
    assert "pull" in result.stderr


def test_a_traceback_only_with_debug(song: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_text("no")
    plain = run(song, "-n", "nosuch", cwd=tmp_path)
    debug = run(song, "-n", "nosuch", "--debug", cwd=tmp_path)
    assert "Traceback" not in plain.stderr
    assert "Traceback" in debug.stderr
    assert (plain.code, debug.code) == (2, 2)


def interrupted(tmp_path: Path, number: signal.Signals) -> tuple[int, str]:
    """Stop a run in the middle with the signal; return its exit code and what it wrote."""
    minutes = np.zeros((10 * 60 * 8_000, 1), np.float32)
    soundfile.write(tmp_path / "long.wav", minutes, 8_000, subtype="PCM_16")
    with subprocess.Popen(
        [sys.executable, "-m", "stemsplit", "long.wav", "-n", TINY],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        children = busy_children(psutil.Process(process.pid), tmp_path / "separated")
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert not [child for child in children if child.is_running()]
    return process.returncode, errors


def busy_children(process: psutil.Process, outputs: Path) -> list[psutil.Process]:
    """Wait until ``process`` reads from its children and writes temporary files."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        children = process.children(recursive=True)
        if len(children) >= 2 and any(name.endswith(".part") for name in files_below(outputs)):
            return children
        time.sleep(0.02)
    raise AssertionError("it never got to work")


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [
        (signal.SIGINT, 130, "interrupted"),
        (signal.SIGTERM, 143, "terminated"),
        (signal.SIGHUP, 143, "terminated"),
    ],
)
def test_a_signal_leaves_nothing_behind(
    tmp_path: Path, number: signal.Signals, code: int, word: str
) -> None:
    returned, errors = interrupted(tmp_path, number)
    assert returned == code
    assert errors.splitlines()[-1] == f"stemsplit: error: {word}"
    assert files_below(tmp_path) == ["long.wav"]
    assert not (tmp_path / "separated").exists()
