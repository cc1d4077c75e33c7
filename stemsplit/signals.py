"""Signals that end the program: raised as exceptions, but never halfway through a critical step."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from stemsplit.errors import ExitCode

#: The signals that ask a program to end, on this system.
_ENDING = (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM))


def end_by_exception(number: int, frame: FrameType | None) -> None:
    """Handle a signal by raising, so that child processes and temporary files are cleaned up."""
    signal.signal(number, signal.SIG_IGN)
    raise SystemExit(ExitCode.TERMINATED)


@contextlib.contextmanager
def signals_deferred() -> Iterator[None]:
    """Defer signals until the end of a block that must not be interrupted halfway.

    Examples are starting a child process, and creating a file and recording that it exists: what is
    not recorded cannot be cleaned up. Python runs signal handlers in the main thread only, so other
    threads have nothing to defer.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: list[int] = []
    handlers = {
        number: handler for number in _ENDING if callable(handler := signal.getsignal(number))
    }
    try:
        for number in handlers:
            signal.signal(number, lambda number, _frame: waiting.append(number))
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for number in waiting:
            signal.raise_signal(number)


@contextlib.contextmanager
def interruptions_ignored() -> Iterator[None]:
    """Make processes started in this block ignore Ctrl-C and hang-ups: their parent ends them.

    A terminal sends these signals to all processes at once, and some may still be starting. Only
    the main thread can set this; in any other thread nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [signal.SIGINT, getattr(signal, "SIGHUP", signal.SIGINT)]
    handlers = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
