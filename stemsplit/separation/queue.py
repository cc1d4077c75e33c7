"""Songs on their way through a network, which hears segments of several of them at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import islice
from typing import TypeAlias

from torch import Tensor

from stemsplit.separation.chunking import Segment


class QueuedSong:
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

    def fail(self, error: Exception) -> None:
        """Give the song up: there are no more segments, and in its turn it will raise ``error``."""
        self._read.clear()
        self._error = error

    def raise_error(self) -> None:
        """Raise what went wrong with the song, if anything did."""
        if self._error is not None:
            raise self._error


#: Segments of one shape that the network hears in one run, and the songs that they are of.
Run: TypeAlias = list[tuple[QueuedSong, Segment]]


class SegmentQueue:
    """Songs that wait in front of networks, which may take segments of several in one run.

    For one thread: whoever separates beside it has a line of its own.
    """

    def __init__(self) -> None:
        self._songs: dict[object, list[QueuedSong]] = {}

    def join(self, network: object, song: QueuedSong) -> None:
        """Let ``song`` wait for ``network``."""
        self._songs.setdefault(network, []).append(song)

    def leave(self, network: object, song: QueuedSong) -> None:
        """Let ``song`` wait no more, if it does."""
        if song in (waiting := self._songs.get(network, [])):
            waiting.remove(song)

    def others(self, network: object, song: QueuedSong) -> list[QueuedSong]:
        """Return what waits for ``network`` besides ``song``."""
        return [each for each in self._songs.get(network, []) if each is not song]


class StemIterator:
    """An iterator of blocks of stems; it takes ``leave`` when it is done, fails or is closed.

    A generator would not, if it is closed before it has begun.
    """

    def __init__(self, blocks: Generator[Tensor], leave: Callable[[], None]) -> None:
        self._blocks = blocks
        self._leave = leave

    def __iter__(self) -> StemIterator:
        return self

    def __next__(self) -> Tensor:
        try:
            return next(self._blocks)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give up what is left."""
        self._blocks.close()
        self._leave()


def fill_batch(first: QueuedSong, others: Iterable[QueuedSong], most: int) -> Run:
    """Take up to ``most`` segments for one run, of ``first``, which has one, then of ``others``."""
    run: Run = [(first, first.take())]
    shape = run[0][1].audio.shape
    for song in (first, *others):
        while len(run) < most and song.next is not None and song.next.audio.shape == shape:
            run.append((song, song.take()))
    return run
