"""A limit on how long a reader waits for data that may never arrive."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from threading import Event, Thread

_TICKS = 20  # checks within the time-out


class StallTimeout:
    """Calls ``give_up`` once, from a thread, when a single wait has lasted ``seconds``.

    The time between two waits does not count, so the reader may be slow. Time is counted in ticks
    of this process, so the time for which it is stopped (Ctrl-Z) does not count either.
    """

    def __init__(self, seconds: float, give_up: Callable[[], None]) -> None:
        self.seconds = seconds
        self.expired = False  # whether ``give_up`` was called
        self._give_up = give_up
        self._over = Event()
        self._waits = 0  # started so far
        self._is_waiting = False
        self._thread: Thread | None = None

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the block as one wait."""
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
        """End the thread, after ``give_up`` if that is running."""
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
