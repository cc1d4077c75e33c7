"""Estimate the time left, from the work done and its speed."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from stemsplit.types import Progressed

#: The speed of a download is averaged over this many seconds.
WINDOW = 10.0


class Forecast:
    """The time left for all songs of a run, from their lengths in seconds of audio.

    The speed is that of the whole run in wall-clock time, including gaps between songs. Before any
    progress, it is the speed of earlier runs, if known.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.earlier_speed: float | None = None
        self.lengths: dict[Path, float | None] | None = None  # None until they are known
        self._done: dict[Path, float] = {}
        self._ended: set[Path] = set()
        self._start: float | None = None

    def begin(self) -> None:
        """Start over with other songs."""
        self.lengths, self._start = None, None
        self._done, self._ended = {}, set()

    def survey(self, lengths: Mapping[Path, float | None]) -> None:
        """Record the ``lengths`` of the songs to separate."""
        self.lengths = dict(lengths)

    def add(self, event: Progressed) -> None:
        """Record the progress of a song, and its length, which is exact only now."""
        if self._start is None:
            self._start = self._clock()
        self._done[event.song] = event.done / event.sample_rate
        if self.lengths is not None:
            self.lengths[event.song] = event.total / event.sample_rate

    def end(self, song: Path) -> None:
        """Record that ``song`` has been separated or has failed."""
        self._ended.add(song)

    @property
    def total(self) -> float | None:
        """The seconds of audio of all songs; None if a length is unknown."""
        lengths = (self.lengths or {}).values()
        known = [length for length in lengths if length is not None]
        return sum(known) if known and len(known) == len(lengths) else None

    @property
    def seconds_left(self) -> float | None:
        """The seconds until all songs are separated; None if unknown."""
        return self._seconds_for(self.lengths or ())

    def seconds_left_with(self, event: Progressed) -> float | None:
        """Return the seconds until all songs are separated, including the one of ``event``.

        None if that is unknown, or if no other song is left.
        """
        others = self._seconds_for(song for song in self.lengths or () if song != event.song)
        return event.seconds_left + others if event.seconds_left and others else None

    def _seconds_for(self, songs: Iterable[Path]) -> float | None:
        """Return the seconds until ``songs`` are separated."""
        if self.total is None or self.lengths is None or (speed := self._speed) is None:
            return None
        left = [
            max(0.0, (self.lengths[song] or 0.0) - self._done.get(song, 0.0))
            for song in songs
            if song not in self._ended
        ]
        return sum(left) / speed

    @property
    def _speed(self) -> float | None:
        done = sum(self._done.values())
        elapsed = 0.0 if self._start is None else self._clock() - self._start
        return done / elapsed if done and elapsed else self.earlier_speed


class TransferRate:
    """The speed of a download over its last seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._marks: deque[tuple[float, int]] = deque()

    def add(self, done: int) -> None:
        """Record that ``done`` bytes have arrived."""
        now = self._clock()
        if self._marks and done < self._marks[-1][1]:  # another source starts over
            self._marks.clear()
        self._marks.append((now, done))
        while now - self._marks[0][0] > WINDOW and len(self._marks) > 2:
            self._marks.popleft()

    @property
    def bytes_per_second(self) -> float | None:
        """Bytes per second; None until two measurements differ."""
        (first, before), (last, done) = self._marks[0], self._marks[-1]
        return (done - before) / (last - first) if last > first and done > before else None
