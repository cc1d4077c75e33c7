"""Cut a stream of blocks of any length into overlapping pieces of equal length."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Samples: TypeAlias = NDArray[np.floating[Any]]


class Piece(NamedTuple):
    """``samples`` ``(..., before + hop + after)`` around the ``valid`` ones from ``start`` on.

    ``samples[..., before : before + valid]`` begin at the position ``start`` of the stream, which
    is padded with zeros at both ends. ``valid`` is ``hop`` except in the last piece.
    """

    samples: Samples
    start: int
    valid: int


class Framer:
    """Cuts blocks ``(..., n)`` into pieces at positions that do not depend on ``n``.

    Results computed from them are therefore bit-identical for all block sizes.
    """

    def __init__(self, hop: int, *, before: int = 0, after: int = 0) -> None:
        self.frames = 0  # of the stream so far
        self._hop, self._before, self._after = hop, before, after
        self._kept: list[Samples] = []
        self._length = 0  # of the samples that are kept
        self._start = 0

    def add(self, block: Samples) -> Iterator[Piece]:
        """Yield the pieces that ``block`` completes."""
        if not self._kept:
            self._keep(np.zeros((*block.shape[:-1], self._before), block.dtype))
        self.frames += block.shape[-1]
        self._keep(block)
        yield from self._pieces()

    def end(self) -> Iterator[Piece]:
        """Yield the remainder, padded with silence."""
        if self._start < self.frames:
            missing = -self.frames % self._hop + self._after
            last = self._kept[-1]
            self._keep(np.zeros((*last.shape[:-1], missing), last.dtype))
            yield from self._pieces()

    def _keep(self, block: Samples) -> None:
        self._kept.append(block)
        self._length += block.shape[-1]

    def _pieces(self) -> Iterator[Piece]:
        size = self._before + self._hop + self._after
        if self._length < size:
            return
        samples = np.concatenate(self._kept, axis=-1)
        while samples.shape[-1] >= size:
            valid = min(self._hop, self.frames - self._start)
            yield Piece(samples[..., :size], self._start, valid)
            self._start += self._hop
            samples = samples[..., self._hop :]
        # A copy, so that a small remainder does not keep a large block in memory.
        self._kept, self._length = [samples.copy()], samples.shape[-1]


class FrameMeter(ABC):
    """Measures a stream of blocks in the pieces that ``framer`` cuts."""

    def __init__(self, framer: Framer) -> None:
        self._framer = framer

    def add(self, block: Samples) -> None:
        """Measure ``block``."""
        for piece in self._framer.add(block):
            self._measure(piece)

    def end(self) -> None:
        """Measure the remainder; nothing can be added afterwards."""
        for piece in self._framer.end():
            self._measure(piece)

    @abstractmethod
    def _measure(self, piece: Piece) -> None:
        """Measure the valid samples of ``piece``."""
