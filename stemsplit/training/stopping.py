"""Signals that end training: noted, so that the current step and its state become whole first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from stemsplit.errors import ExitCode

_ENDING = (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM))


class StopRequest:
    """The number of the first signal that asked to end; a second one ends at once."""

    def __init__(self) -> None:
        self.signal = 0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal."""
        if self.signal:
            end_by(number)
        self.signal = number


def end_by(number: int) -> None:
    """Raise what ends the program as the signal ``number`` does."""
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(ExitCode.TERMINATED)


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Yield an object that notes the signals in this block. Ignored signals stay ignored."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.getsignal(number) for number in _ENDING}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, request)
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
