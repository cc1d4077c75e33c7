"""Signals that end the program: as an exception, and never half-way through a delicate step."""

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
    """Handle a signal by an exception, so that children and temporary files are cleaned up."""
    signal.signal(number, signal.SIG_IGN)
    raise SystemExit(ExitCode.TERMINATED)


@contextlib.contextmanager
def signals_deferred() -> Iterator[None]:
    """Defer signals that would raise here, half-way through what only its end can undo.

    That is the start of a child, or a file between its creation and the note of it. Python runs
    handlers in the main thread only, so that other threads have nothing to defer.
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
    """Let processes that are started here ignore Ctrl-C and hang-ups: their parent ends them.

    A terminal sends these to all processes at once, and some may be half-way through their start.
    Only the main thread can do that; from another one, nothing changes.
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
