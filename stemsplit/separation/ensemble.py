"""The mean of several passes over a song: of several models, and of shifts in time."""

from __future__ import annotations

import random
from collections.abc import Generator, Iterable, Iterator, Sequence
from itertools import tee

import torch
from torch import Tensor

from stemsplit.errors import UsageError
from stemsplit.separation.engine import Engine
from stemsplit.separation.execution import Execution
from stemsplit.separation.queue import SegmentQueue, StemIterator

#: The longest shift, in seconds: that of Demucs.
LONGEST_SHIFT = 0.5


class EnsembleEngine:
    """Engines that hear a song together, each ``shifts`` times; their stems are averaged.

    Each pass but the first of an engine hears the song later by a random part of half a second, so
    that its segments begin elsewhere (the "shift trick" of Demucs); ``seed`` decides by how much. A
    stem is the mean of the engines that give it. The passes go side by side through the song, so
    memory depends on the segments and not on its length. Used as an `Engine` is.

    Raises ``UsageError`` for engines that work at different rates.
    """

    def __init__(self, engines: Sequence[Engine], *, shifts: int = 1, seed: int = 0) -> None:
        first = engines[0]
        self.engines = tuple(engines)
        self.sample_rate = first.sample_rate
        self.channels = max(engine.channels for engine in engines)
        self.sources = tuple(dict.fromkeys(name for each in engines for name in each.sources))
        if any(engine.sample_rate != self.sample_rate for engine in engines):
            rates = ", ".join(f"{engine.sample_rate} Hz" for engine in engines)
            raise UsageError(f"the models of an ensemble work at different rates: {rates}")
        self.remarks: list[str] = []
        for engine in engines:
            engine.remarks = self.remarks
        drawn = random.Random(seed)
        longest = round(LONGEST_SHIFT * self.sample_rate)
        self._delays = (0, *(drawn.randint(1, longest) for _ in range(shifts - 1)))

    @property
    def setup(self) -> Execution:
        """With what the first engine runs; the others were asked for the same."""
        return self.engines[0].setup

    def separate(
        self,
        blocks: Iterable[Tensor],
        *,
        mean: float = 0.0,
        deviation: float = 1.0,
        line: SegmentQueue | None = None,
    ) -> StemIterator:
        """Yield blocks ``(S, C, n)`` of the stems of ``blocks`` ``(C, n)``, as an engine does."""
        passes = [(engine, delay) for engine in self.engines for delay in self._delays]
        copies = tee(blocks, len(passes))
        line = SegmentQueue() if line is None else line
        separated = [
            engine.separate(
                # What a network that asks for it hears as silence is the mean of the song.
                _delayed(copy, delay, mean if engine.model.standardised else 0.0),
                mean=mean,
                deviation=deviation,
                line=line,
            )
            for (engine, delay), copy in zip(passes, copies, strict=True)
        ]
        streams = [
            _skipped(stems, delay) for stems, (_, delay) in zip(separated, passes, strict=True)
        ]

        def leave() -> None:
            for stems in separated:
                stems.close()

        return StemIterator(self._averages([engine for engine, _ in passes], streams), leave)

    def fills(self, seconds: float) -> float:
        """Return how many batches a song of ``seconds`` fills, as an engine does."""
        return len(self._delays) * min(engine.fills(seconds) for engine in self.engines)

    def _averages(
        self, engines: Sequence[Engine], streams: Sequence[Iterator[Tensor]]
    ) -> Generator[Tensor]:
        for parts in _side_by_side(streams):
            yield self._average(engines, parts)

    def _average(self, engines: Sequence[Engine], parts: Sequence[Tensor]) -> Tensor:
        stems = []
        for name in self.sources:
            given = [
                part[engine.sources.index(name)]
                for engine, part in zip(engines, parts, strict=True)
                if name in engine.sources
            ]
            stems.append(torch.stack(given).mean(dim=0))
        return torch.stack(stems)


def _delayed(blocks: Iterable[Tensor], delay: int, value: float) -> Iterator[Tensor]:
    """Yield ``blocks`` after ``delay`` frames of ``value``, which is silence to the network."""
    for block in blocks:
        if delay:
            yield block.new_full((len(block), delay), value)
            delay = 0
        yield block


def _skipped(blocks: Iterable[Tensor], frames: int) -> Iterator[Tensor]:
    """Yield ``blocks`` ``(…, n)`` without the first ``frames`` frames."""
    for block in blocks:
        rest = block[..., frames:]
        frames = max(0, frames - block.shape[-1])
        if rest.shape[-1]:
            yield rest


def _side_by_side(streams: Sequence[Iterator[Tensor]]) -> Iterator[list[Tensor]]:
    """Yield the next frames of all ``streams``, as many as each has ready, until they end."""
    kept: list[Tensor | None] = [None] * len(streams)
    while True:
        for number, stream in enumerate(streams):
            if kept[number] is None:
                kept[number] = next(stream, None)
        ready = [block for block in kept if block is not None]
        if len(ready) < len(streams):
            return  # they end together, having heard the same song
        frames = min(block.shape[-1] for block in ready)
        yield [block[..., :frames] for block in ready]
        kept = [b[..., frames:] if b.shape[-1] > frames else None for b in ready]
