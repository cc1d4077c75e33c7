"""Running the command on a pseudo-terminal, and what a person sees there at every moment."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyte
from measured import PACKAGE

#: More lines than any run writes, so that none scrolls away.
ROWS = 200

CTRL_C = b"\x03"


@dataclass(frozen=True)
class Seen:
    """The screens of a run, each as its lines, without repetitions; and how the run ended."""

    screens: list[list[str]]
    code: int

    @property
    def last(self) -> list[str]:
        """What is left on the screen in the end."""
        return self.screens[-1]

    @property
    def bars(self) -> list[str]:
        """All states of the line with the bar."""
        return [line for screen in self.screens for line in screen[-1:] if "━" in line]


def watch_command(
    *words: object,
    cwd: Path,
    columns: int = 80,
    answer: Callable[[list[str]], bytes] | None = None,
    **environment: str,
) -> Seen:
    """Run ``stemsplit words`` on a terminal of so many ``columns``.

    ``answer`` is called with each screen, until it returns what is typed then. The bar has no
    colours, so that one that moves shows blanks.
    """
    screen, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, columns, 0, 0))
    inherited = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(
        [sys.executable, "-m", "stemsplit", *map(str, words)],
        cwd=cwd,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env=inherited | {"TERM": "xterm", "NO_COLOR": "1", "PYTHONPATH": _path()} | environment,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(terminal)
    screens = _read(screen, columns, answer or (lambda _: b""))
    os.close(screen)
    return Seen(screens, process.wait(timeout=60))


def _path() -> str:
    return os.pathsep.join(filter(None, (str(PACKAGE), os.environ.get("PYTHONPATH"))))


def _read(screen: int, columns: int, answer: Callable[[list[str]], bytes]) -> list[list[str]]:
    """Return what the terminal ``screen`` shows until the other side is closed."""
    shown = pyte.Screen(columns, ROWS)
    stream = pyte.ByteStream(shown)
    screens: list[list[str]] = []
    typed = b""
    while True:
        try:
            data = os.read(screen, 65_536)
        except OSError:  # how Linux says that the other side is closed
            return screens
        stream.feed(data)
        lines = [line.rstrip() for line in shown.display]
        while lines and not lines[-1]:
            lines.pop()
        if not screens or lines != screens[-1]:
            screens.append(lines)
            if not typed and (typed := answer(lines)):
                os.write(screen, typed)
