"""Running the command on a pseudo-terminal, and what a person sees there at every moment."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import pty
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pyte
from measured import PACKAGE

from stemsplit.cli.console import Console
from stemsplit.cli.meters import REFRESHES
from stemsplit.cli.render import Renderer
from stemsplit.types import Event

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


def last_lines(events: Iterable[Event], columns: int) -> list[str]:
    """Return the last line on a terminal after each of ``events``, as soon as it is redrawn.

    The environment must name the number of ``columns``: this process has another terminal.
    """
    screen, terminal = pty.openpty()
    os.set_blocking(screen, False)
    shown = pyte.Screen(columns, ROWS)
    stream = pyte.ByteStream(shown)
    lines = []
    with open(terminal, "w") as file, Renderer(Console(io.StringIO(), file)) as renderer:
        for event in events:
            renderer.show(event)
            time.sleep(3 / REFRESHES)
            with contextlib.suppress(BlockingIOError):
                stream.feed(os.read(screen, 65_536))
            lines.append(next((line for line in reversed(shown.display) if line.strip()), ""))
    os.close(screen)
    return [line.rstrip() for line in lines]


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
