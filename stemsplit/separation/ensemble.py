"""Averages several passes over a song: of several models, and time-shifted."""

from __future__ import annotations

import random
from collections.abc import Generator, Iterable, Iterator, Sequence
from itertools import tee

import torch
from torch import Tensor

from stemsplit.checkpoints import loading
from stemsplit.errors import UsageError
from stemsplit.options import EngineOptions
from stemsplit.separation.device import memory_explained, resolve_device
from stemsplit.separation.engine import Engine
from stemsplit.separation.execution import Execution
from stemsplit.separation.queue import SegmentQueue, StemIterator

#: The longest shift, in seconds: that of Demucs.
LONGEST_SHIFT = 0.5


class EnsembleEngine:
    """Averages the stems of several engines, or of shifted passes of one; used like an `Engine`.

    Each engine makes ``shifts`` passes. All but its first delay the song by a random part of half a
    second, so that its segments start elsewhere (the "shift trick" of Demucs); ``seed`` determines
    the delays. A stem is the mean over the engines that output it. The passes advance through the
    song in parallel, so memory depends on the segments and not on the length of the song.

    Raises ``UsageError`` for engines with different sample rates.
    """

    def __init__(self, engines: Sequence[Engine], *, shifts: int = 1, seed: int = 0) -> None:
        first = engines[0]
        self.engines = tuple(engines)
        self.sample_rate = first.sample_rate
        self.channels = max(engine.channels for engine in engines)
        self.sources = tuple(dict.fromkeys(name for each in engines for name in each.sources))
        if any(engine.sample_rate != self.sample_rate for engine in engines):
            rates = ", ".join(f"{engine.sample_rate} Hz" for engine in engines)
            raise UsageError(f"the models of an ensemble have different sample rates: {rates}")
        self.warnings: list[str] = []
        for engine in engines:
            engine.warnings = self.warnings
        drawn = random.Random(seed)
        longest = round(LONGEST_SHIFT * self.sample_rate)
        self._delays = (0, *(drawn.randint(1, longest) for _ in range(shifts - 1)))

    @property
    def execution(self) -> Execution:
        """How the first engine runs; the others have the same settings."""
        return self.engines[0].execution

    def separate(
        self,
        blocks: Iterable[Tensor],
        *,
        mean: float = 0.0,
        deviation: float = 1.0,
        queue: SegmentQueue | None = None,
    ) -> StemIterator:
        """Return blocks ``(S, C, n)`` of the stems of ``blocks`` ``(C, n)``, like an engine."""
        passes = [(engine, delay) for engine in self.engines for delay in self._delays]
        copies = tee(blocks, len(passes))
        queue = SegmentQueue() if queue is None else queue
        separated = [
            engine.separate(
                # To a standardised network, the mean of the song is silence.
                _delayed(copy, delay, mean if engine.model.standardised else 0.0),
                mean=mean,
                deviation=deviation,
                queue=queue,
            )
            for (engine, delay), copy in zip(passes, copies, strict=True)
        ]

        def leave() -> None:
            for stems in separated:
                stems.close()

        return StemIterator(self._averages(passes, separated), leave)

    def fills(self, seconds: float) -> float:
        """Return how many batches a song of ``seconds`` fills, like an engine."""
        return len(self._delays) * min(engine.fills(seconds) for engine in self.engines)

    def _averages(
        self, passes: Sequence[tuple[Engine, int]], separated: Sequence[StemIterator]
    ) -> Generator[Tensor]:
        """Yield the average of all passes, as many frames at a time as all have ready."""
        streams = [iter(stems) for stems in separated]
        ready: list[Tensor | None] = [None] * len(passes)
        skipped = [delay for _, delay in passes]
        while True:
            for number, stream in enumerate(streams):
                while ready[number] is None and (block := next(stream, None)) is not None:
                    rest = block[..., skipped[number] :]
                    skipped[number] = max(0, skipped[number] - block.shape[-1])
                    ready[number] = rest if rest.shape[-1] else None
            blocks = [block for block in ready if block is not None]
            if len(blocks) < len(passes):
                return  # they end together, after the same song
            frames = min(block.shape[-1] for block in blocks)
            yield self._average(passes, [block[..., :frames] for block in blocks])
            ready = [b[..., frames:] if b.shape[-1] > frames else None for b in blocks]

    def _average(self, passes: Sequence[tuple[Engine, int]], parts: Sequence[Tensor]) -> Tensor:
        stems = []
        for name in self.sources:
            given = [
                part[engine.sources.index(name)]
                for (engine, _), part in zip(passes, parts, strict=True)
                if name in engine.sources
            ]
            stems.append(torch.stack(given).mean(dim=0))
        return torch.stack(stems)


def load_engine(name: str, stems: Sequence[str], options: EngineOptions) -> Engine | EnsembleEngine:
    """Return an engine that outputs ``stems`` with the model ``name``.

    ``name`` is a model, a checkpoint file, or a comma-separated list of these. The weights must be
    on this machine: `loading.prepare` fetches them. Raises ``UsageError`` for invalid settings,
    ``CheckpointError`` for incompatible weights, and ``ResourceError`` for a missing device or too
    little memory.
    """
    engines = []
    for each, own in loading.shares(name, stems).items():
        with memory_explained(resolve_device(options.device)):
            network = loading.load(each, stems=own)
        engines.append(
            Engine(
                network,
                device=options.device,
                precision=options.precision,
                overlap=options.overlap,
                segment=options.segment,
                quick_end=options.quick_end,
                batch=options.batch,
                threads=options.threads,
            )
        )
    if len(engines) == options.shifts == 1:
        return engines[0]
    return EnsembleEngine(engines, shifts=options.shifts, seed=options.seed)


def _delayed(blocks: Iterable[Tensor], delay: int, value: float) -> Iterator[Tensor]:
    """Yield ``delay`` frames of ``value``, which is silence to the network, then ``blocks``."""
    for block in blocks:
        if delay:
            yield block.new_full((len(block), delay), value)
            delay = 0
        yield block
