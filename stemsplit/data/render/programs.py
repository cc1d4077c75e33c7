"""Runs the programs that songs are rendered with: ``mma`` and ``fluidsynth``."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from stemsplit.errors import ResourceError
from stemsplit.signals import signals_deferred

FLUIDSYNTH, MMA = "fluidsynth", "mma"


def how_to_install(program: str) -> str:
    """Return a hint for a missing ``program``."""
    if program == MMA:
        return "install it: sudo apt install mma; without it, only the built-in styles are used"
    commands = {"darwin": "brew install fluid-synth", "win32": "choco install fluidsynth"}
    command = commands.get(sys.platform, "sudo apt install fluidsynth fluid-soundfont-gm")
    return f"install it: {command}; or use --synthetic, which needs no other programs"


def has_program(name: str) -> bool:
    """Return whether a program is on PATH."""
    return shutil.which(name) is not None


def find_program(name: str) -> str:
    """Return the path of a program. Raises ``ResourceError`` if it is not on PATH."""
    if (found := shutil.which(name)) is None:
        raise ResourceError(f"{name} was not found", hint=how_to_install(name))
    return found


def run(
    words: Sequence[str], *, seconds: float, folder: Path | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run a program in ``folder``, and return its status and output.

    It reads nothing. It is killed with its children if this function ends early. Raises
    ``ResourceError`` if it cannot be started, or is still running after ``seconds``.
    """
    process = None
    try:
        with signals_deferred():
            process = subprocess.Popen(
                list(words),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        out, err = process.communicate(timeout=seconds)
    except OSError as exc:
        reason = f"cannot be started: {exc.strerror or exc}"
        raise ResourceError(reason, path=words[0]) from exc
    except subprocess.TimeoutExpired as exc:
        raise ResourceError(f"did not finish in {seconds:g} s", path=words[0]) from exc
    finally:
        if process is not None:
            _kill(process)
    return subprocess.CompletedProcess(list(words), process.returncode, out, err)


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
