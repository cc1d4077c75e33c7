"""From one file to the files of its stems, as a stream of events."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from stemsplit.audio.blocks import Block, BlockReader
from stemsplit.audio.decode import decode
from stemsplit.audio.formats import encoded_rate
from stemsplit.audio.quantise import Remainder
from stemsplit.audio.resample import fit, has_soxr, resample
from stemsplit.audio.tags.model import Tags
from stemsplit.audio.tags.reading import read_tags
from stemsplit.outputs.writer import BackgroundWriter
from stemsplit.separation.engine import Engine
from stemsplit.separation.ensemble import EnsembleEngine
from stemsplit.separation.job import Job
from stemsplit.separation.queue import SegmentQueue
from stemsplit.separation.scan import scan
from stemsplit.types import (
    Event,
    Opened,
    Progressed,
    ScanResult,
    Warned,
)


def split(job: Job, engine: Engine | EnsembleEngine) -> Generator[Event, None, None]:
    """Separate the song of ``job`` and yield what happens; the stems appear together at the end.

    Memory does not depend on the length of the song. If the generator is closed early or an error
    comes up, no file is left. Raises ``InputError``, ``OutputError`` and ``ResourceError``.
    """
    with BackgroundWriter(job) as writing:
        yield from separate(job, engine, writing)
        yield from writing.events()


class Sink(Protocol):
    """Where stems go: files, or a stream."""

    def open(self, frames: int, tags: Tags) -> None:
        """Get ready for so many frames."""

    def write(self, stems: Mapping[str, Block]) -> None:
        """Take one block (C, n) of each stem."""

    def end(self) -> None:
        """Take notice that there are no more blocks."""

    def abandon(self) -> None:
        """Take everything back, if that can be done."""


def separate(
    job: Job, engine: Engine | EnsembleEngine, writing: Sink, line: SegmentQueue | None = None
) -> Generator[Event, None, None]:
    """Hand the stems of ``job`` to ``writing`` and yield what happens, but how the writing ends.

    From the first ``Progressed`` on the song waits in ``line`` for the network, and shares batches
    with others that do; ``writing`` is opened when it goes on.
    Raises as ``split`` does; then, and if the generator is closed early, ``writing`` is abandoned.
    """
    info = job.info
    yield Opened(info)
    yield from map(Warned, _remarks(job, engine.sample_rate))
    statistics = job.statistics or scan(
        info, engine.sample_rate, accept_truncated=job.accept_truncated
    )
    for complaint in statistics.warnings:
        yield Warned(f"{info.path}: {complaint}")
    tags, complaints = read_tags(info) if job.encoding.tags else (Tags(), [])
    for complaint in complaints:
        yield Warned(f"{info.path}: {complaint}")
    try:
        with ExitStack() as stack:
            done = 0
            # Where only projects are missing there is nothing to separate.
            separated = _stems(job, engine, statistics, stack, line) if job.outputs else ()
            yield Progressed(0, statistics.frames)
            writing.open(statistics.frames, tags)
            for stems in separated:
                while engine.remarks:
                    yield Warned(f"{info.path}: {engine.remarks.pop(0)}")
                writing.write(stems)
                done += next(iter(stems.values())).shape[-1]
                yield Progressed(done, statistics.frames)
        writing.end()
    except BaseException:
        writing.abandon()
        raise


def _remarks(job: Job, model_rate: int) -> Iterator[str]:
    info = job.info
    if info.stored_channels > info.channels:
        yield (
            f"{info.path}: {info.stored_channels} channels are mixed down to {info.channels}; "
            "so are the stems"
        )
    rate = encoded_rate(job.encoding, info.sample_rate)
    if rate != info.sample_rate:
        yield (
            f"{info.path}: {job.encoding.format} knows no rate of {info.sample_rate} Hz; "
            f"the stems have {rate} Hz"
        )
    if info.sample_rate != model_rate and not has_soxr():
        yield (
            f"{info.path}: this ffmpeg has no soxr, the better resampler; "
            "its errors are near -100 dB instead of -140 dB"
        )


def _stems(
    job: Job,
    engine: Engine | EnsembleEngine,
    statistics: ScanResult,
    stack: ExitStack,
    line: SegmentQueue | None,
) -> Iterator[dict[str, Block]]:
    """Return an iterator of the wanted stems ``(C, n)`` by name, with the song's rate and channels.

    The song waits in ``line`` from now on. What is opened on the way is closed by ``stack``.
    """
    info, selection = job.info, job.selection
    model_rate = engine.sample_rate

    def opened() -> Iterator[Block]:
        # The scan has told already what is to be told of damage.
        return stack.enter_context(decode(info, accept_truncated=True))

    heard = stack.enter_context(
        closing(
            resample(
                opened(), channels=info.channels, from_rate=info.sample_rate, to_rate=model_rate
            )
        )
    )
    widened = (widen(torch.from_numpy(block), engine.channels) for block in heard)
    separated = stack.enter_context(
        closing(
            engine.separate(
                widened, mean=statistics.mean, deviation=statistics.deviation, line=line
            )
        )
    )
    picked = [engine.sources.index(name) for name in selection.needed]
    narrowed = (narrow(stems[picked], info.channels).flatten(0, 1).numpy() for stems in separated)
    back = stack.enter_context(
        closing(
            resample(
                narrowed,
                channels=len(picked) * info.channels,
                from_rate=model_rate,
                to_rate=info.sample_rate,
            )
        )
    )
    mix = BlockReader(opened()) if selection.needs_song(job.outputs) else None
    whole = fit(
        back,
        statistics.frames,
        channels=len(picked) * info.channels,
        sample_rate=info.sample_rate,
    )
    return _combined(job, whole, mix)


def _combined(
    job: Job, needed: Iterable[Block], mix: BlockReader | None
) -> Iterator[dict[str, Block]]:
    """Yield the wanted stems by name, of blocks (S·C, n) of the ``needed`` ones and the ``mix``."""
    info, selection, closing = job.info, job.selection, job.closing
    outputs = list(dict.fromkeys((*job.outputs, *(selection.sums if closing else ()))))
    remainder = Remainder(selection.sums[:-1], dithered=job.encoding.dither)
    for block in needed:
        stems = block.reshape(len(selection.needed), info.channels, -1)
        named = dict(zip(selection.needed, stems, strict=True))
        song = None if mix is None else mix.take(block.shape[-1])
        if selection.file is None:
            made = selection.combine(named, song, outputs)
            if closing is not None:
                made[closing] = made[closing] + remainder.take(made)
            yield {name: made[name] for name in job.outputs}
        else:
            streams = selection.combine(named, song, selection.streams)
            yield {selection.file: _side_by_side(streams.values())}


def _side_by_side(streams: Iterable[Block]) -> Block:
    """Return ``streams`` (C, n) as one block with two channels for each, mono ones twice."""
    return np.concatenate([s if len(s) == 2 else s.repeat(2, axis=0) for s in streams])


def widen(mix: Tensor, channels: int) -> Tensor:
    """Return ``mix`` ``(..., C, T)`` with the ``channels`` of a model: mono goes to all of them.

    Stereo stays stereo, even for a model of mono, which then hears the channels one by one.
    """
    return mix.expand(*mix.shape[:-2], channels, mix.shape[-1]) if mix.shape[-2] == 1 else mix


def narrow(stems: Tensor, channels: int) -> Tensor:
    """Return ``stems`` ``(..., C, T)`` with the ``channels`` of the song: mono is the average."""
    return stems.mean(dim=-2, keepdim=True) if channels == 1 else stems
