"""Songs on their way through a network, which hears segments of several of them at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeAlias

from torch import Tensor

from stemsplit.separation.chunking import Segment


class Passage:
    """A song on its way: segments that wait for the network, and what it has given for others.

    What goes wrong while segments are read is kept until the song's own turn: it is none of the
    business of the songs that only share a batch with this one.
    """

    def __init__(self, segments: Iterator[Segment]) -> None:
        self._segments = segments
        self._read: deque[Segment] = deque()
        self._error: Exception | None = None
        self.outputs: deque[tuple[Segment, Tensor]] = deque()

    @property
    def next(self) -> Segment | None:
        """The segment whose turn it is; None if there is no more, or none that can be read."""
        if not self._read and self._error is None:
            try:
                self._read.extend(islice(self._segments, 1))
            except Exception as exc:
                self._error = exc
        return self._read[0] if self._read else None

    def take(self) -> Segment:
        """Take that segment, which must be there; then it is the turn of the one after it."""
        return self._read.popleft()

    def put_back(self, segment: Segment) -> None:
        """Put back the ``segment`` that was taken last."""
        self._read.appendleft(segment)

    def raise_error(self) -> None:
        """Raise what went wrong while segments were read, if anything did."""
        if self._error is not None:
            raise self._error


#: Segments of one shape that the network hears in one run, and the songs that they are of.
Run: TypeAlias = list[tuple[Passage, Segment]]


def gather(first: Passage, others: Iterable[Passage], most: int) -> Run:
    """Take up to ``most`` segments for one run, of ``first``, which has one, then of ``others``."""
    run: Run = [(first, first.take())]
    shape = run[0][1].audio.shape
    for song in (first, *others):
        while len(run) < most and song.next is not None and song.next.audio.shape == shape:
            run.append((song, song.take()))
    return run
