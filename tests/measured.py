"""Running the command in a separate process, to measure its time and memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import stemsplit

PACKAGE = Path(stemsplit.__file__).parents[1]


@dataclass(frozen=True)
class Measured:
    """How a run ended, what it wrote to stderr, how long it took (s) and its memory (bytes)."""

    code: int
    stderr: str
    seconds: float
    memory: int


def measure(*arguments: object, cwd: Path, seconds: float = 60, **variables: str) -> Measured:
    """Run ``stemsplit arguments``; after ``seconds`` it is killed, and ``code`` is -9."""
    errors = cwd / "measured.err"
    command = [sys.executable, "-m", "stemsplit", *map(str, arguments)]
    start = time.monotonic()
    with errors.open("wb") as stderr:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            env=os.environ | {"PYTHONPATH": str(PACKAGE)} | variables,
        )
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() - start > seconds:
                process.kill()
            time.sleep(0.02)
    process.returncode = code = os.waitstatus_to_exitcode(status)
    passed = time.monotonic() - start
    return Measured(code, errors.read_text(errors="replace"), passed, usage.ru_maxrss * 1024)
