"""A limit to how long a reader waits for what may never come."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from threading import Event, Thread

_TICKS = 20  # how often it is looked at within the time


class StallTimeout:
    """Calls ``give_up`` once, from a thread, when a single wait has lasted ``seconds``.

    What passes between two waits costs nothing: a reader may take its time. The time is counted in
    ticks of this process, so that one that was stopped (Ctrl-Z) does not count it either.
    """

    def __init__(self, seconds: float, give_up: Callable[[], None]) -> None:
        self.seconds = seconds
        self.expired = False  # whether it gave up
        self._give_up = give_up
        self._over = Event()
        self._waits = 0  # begun so far
        self._is_waiting = False
        self._thread: Thread | None = None

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the time that the block takes as one wait."""
        if self._thread is None:
            self._thread = Thread(target=self._count, daemon=True)
            self._thread.start()
        self._waits += 1
        self._is_waiting = True
        try:
            yield
        finally:
            self._is_waiting = False

    def close(self) -> None:
        """End the thread, in which ``give_up`` may be running."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def _count(self) -> None:
        ticks, wait = 0, 0
        while not self._over.wait(self.seconds / _TICKS):
            same = self._is_waiting and self._waits == wait
            ticks, wait = ticks + 1 if same else 0, self._waits
            if ticks >= _TICKS:
                self.expired = True
                self._give_up()
                return
