"""How long something still takes, from what is done and how fast that was."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from stemsplit.types import Progressed

#: Seconds of a download that its speed is taken from.
WINDOW = 10.0


class Forecast:
    """The time left for all songs of a run, by their lengths in seconds of audio.

    The speed is that of the whole run by the clock, with whatever lies between two songs; before
    anything is done it is the one of earlier runs, if that is known.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.earlier_speed: float | None = None
        self.lengths: dict[Path, float | None] | None = None  # None until they are known
        self._done: dict[Path, float] = {}
        self._ended: set[Path] = set()
        self._start: float | None = None

    def begin(self) -> None:
        """Begin with other songs."""
        self.lengths, self._start = None, None
        self._done, self._ended = {}, set()

    def survey(self, lengths: Mapping[Path, float | None]) -> None:
        """Note the ``lengths`` of the songs that are to be separated."""
        self.lengths = dict(lengths)

    def add(self, event: Progressed) -> None:
        """Note how far a song is, and its length, which only now is exact."""
        if self._start is None:
            self._start = self._clock()
        self._done[event.song] = event.done / event.sample_rate
        if self.lengths is not None:
            self.lengths[event.song] = event.total / event.sample_rate

    def end(self, song: Path) -> None:
        """Note that nothing of ``song`` is left to do, whether it is done or has failed."""
        self._ended.add(song)

    @property
    def total(self) -> float | None:
        """The seconds of audio of all songs; None where one is unknown."""
        lengths = (self.lengths or {}).values()
        known = [length for length in lengths if length is not None]
        return sum(known) if known and len(known) == len(lengths) else None

    @property
    def seconds_left(self) -> float | None:
        """The seconds until all songs are separated; None where that is not known."""
        return self._seconds_for(self.lengths or ())

    def seconds_left_with(self, event: Progressed) -> float | None:
        """Return the seconds until all songs are separated, of which ``event`` concerns one.

        None where that is not known, and where no other song is left.
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
    """The speed of a download, of its last seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._marks: deque[tuple[float, int]] = deque()

    def add(self, done: int) -> None:
        """Note that ``done`` bytes are here by now."""
        now = self._clock()
        if self._marks and done < self._marks[-1][1]:  # another source begins anew
            self._marks.clear()
        self._marks.append((now, done))
        while now - self._marks[0][0] > WINDOW and len(self._marks) > 2:
            self._marks.popleft()

    @property
    def bytes_per_second(self) -> float | None:
        """Bytes in a second; None before there is anything to go by."""
        (first, before), (last, done) = self._marks[0], self._marks[-1]
        return (done - before) / (last - first) if last > first and done > before else None
