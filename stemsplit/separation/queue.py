"""The queue of songs for a network, which can run segments of several songs in one batch."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import islice
from typing import TypeAlias

from torch import Tensor

from stemsplit.separation.chunking import Segment


class QueuedSong:
    """A song in the queue: segments to run, and outputs of segments that already ran.

    If reading a segment fails, the error is kept until it is the song's turn, because it does not
    affect the songs that share a batch with this one.
    """

    def __init__(self, segments: Iterator[Segment]) -> None:
        self._segments = segments
        self._read: deque[Segment] = deque()
        self._error: Exception | None = None
        self.outputs: deque[tuple[Segment, Tensor]] = deque()

    @property
    def next(self) -> Segment | None:
        """The next segment to run; None at the end, or if reading has failed."""
        if not self._read and self._error is None:
            try:
                self._read.extend(islice(self._segments, 1))
            except Exception as exc:
                self._error = exc
        return self._read[0] if self._read else None

    def take(self) -> Segment:
        """Take the next segment, which must exist."""
        return self._read.popleft()

    def put_back(self, segment: Segment) -> None:
        """Put back the ``segment`` that was taken last."""
        self._read.appendleft(segment)

    def fail(self, error: Exception) -> None:
        """Discard the remaining segments, and keep ``error`` for `raise_error`."""
        self._read.clear()
        self._error = error

    def raise_error(self) -> None:
        """Raise the error of this song, if it has one."""
        if self._error is not None:
            raise self._error


#: Segments of the same shape that a network runs at once, each with its song.
SegmentBatch: TypeAlias = list[tuple[QueuedSong, Segment]]


class SegmentQueue:
    """The songs waiting for each network.

    Not thread-safe: each thread that separates has its own queue.
    """

    def __init__(self) -> None:
        self._songs: dict[object, list[QueuedSong]] = {}

    def add(self, network: object, song: QueuedSong) -> None:
        """Queue ``song`` for ``network``."""
        self._songs.setdefault(network, []).append(song)

    def remove(self, network: object, song: QueuedSong) -> None:
        """Remove ``song`` from the queue, if it is in it."""
        if song in (waiting := self._songs.get(network, [])):
            waiting.remove(song)

    def others(self, network: object, song: QueuedSong) -> list[QueuedSong]:
        """Return the songs queued for ``network`` besides ``song``."""
        return [each for each in self._songs.get(network, []) if each is not song]


class StemIterator(Iterator[Tensor]):
    """The blocks of a song's stems. A caller that stops early must call ``close``.

    ``for`` iterates over the inner generator. ``close`` calls ``leave`` even if the generator was
    never started, in which case its own ``finally`` would not run.
    """

    def __init__(self, blocks: Generator[Tensor], leave: Callable[[], None]) -> None:
        self._blocks = blocks
        self._leave = leave

    def __iter__(self) -> Generator[Tensor]:
        return self._blocks

    def __next__(self) -> Tensor:
        return next(self._blocks)

    def close(self) -> None:
        """Discard the remaining blocks."""
        self._blocks.close()
        self._leave()


def fill_batch(first: QueuedSong, others: Iterable[QueuedSong], size: int) -> SegmentBatch:
    """Take up to ``size`` segments: of ``first``, which has at least one, then of ``others``."""
    batch: SegmentBatch = [(first, first.take())]
    shape = batch[0][1].audio.shape
    for song in (first, *others):
        while len(batch) < size and song.next is not None and song.next.audio.shape == shape:
            batch.append((song, song.take()))
    return batch
