"""Separates one song, from the segment queue to the writer of its stems."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import Protocol

from stemsplit.audio.blocks import Block
from stemsplit.audio.formats import encoded_rate
from stemsplit.audio.tags.model import Tags
from stemsplit.audio.tags.reading import read_tags
from stemsplit.outputs.job import Job
from stemsplit.outputs.mixing import Mixer
from stemsplit.separation.engine import Engine
from stemsplit.separation.ensemble import EnsembleEngine
from stemsplit.separation.pipeline import SeparatedSong, warnings_for
from stemsplit.separation.queue import SegmentQueue
from stemsplit.separation.scan import scan
from stemsplit.separation.threads import limited_threads
from stemsplit.types import Event, Opened, Progressed, ScanResult, Warned


class StemSink(Protocol):
    """The destination of the stems of a song: files, or a stream."""

    def open(self, frames: int, tags: Tags) -> None:
        """Prepare to write this many frames."""

    def write(self, stems: Mapping[str, Block]) -> None:
        """Write one block (C, n) of each stem."""

    def end(self) -> None:
        """Complete the output after the last block."""

    def abandon(self) -> None:
        """Remove the output where that is possible."""


class SongRun:
    """The song of a ``job``, which joins the queue of the network when this is constructed.

    ``batches`` is the number of batches that it fills. Raises ``InputError`` for a song that cannot
    be read to its end, and ``ResourceError``.
    """

    def __init__(
        self,
        job: Job,
        engine: Engine | EnsembleEngine,
        sink: StemSink,
        *,
        scanned: ScanResult | None = None,
        queue: SegmentQueue | None = None,
    ) -> None:
        self.job = job
        self._engine = engine
        self._sink = sink
        self._scanned = scanned or scan(
            job.info, engine.sample_rate, accept_truncated=job.accept_truncated
        )
        self._tags, tag_warnings = read_tags(job.info) if job.encoding.tags else (Tags(), [])
        self._warnings = [
            *_warnings(job, engine.sample_rate),
            *(f"{job.info.path}: {text}" for text in (*self._scanned.warnings, *tag_warnings)),
        ]
        self._separated: SeparatedSong | None = None
        self.batches = 0.0
        if job.outputs:  # if only projects are missing, there is nothing to separate
            self._separated = SeparatedSong(
                job.info,
                self._scanned,
                engine,
                job.selection.needed,
                with_mix=job.selection.needs_mix(job.outputs),
                queue=queue,
            )
            self._mixer = Mixer(job, self._separated.mix)
            self.batches = engine.fills(self._scanned.frames / job.info.sample_rate)

    def close(self) -> None:
        """Discard the rest of the song."""
        if self._separated is not None:
            self._separated.close()

    def separate(self) -> Generator[Event]:
        """Separate the song, pass its stems to the sink, and yield events.

        If an error is raised, or the generator is closed early, the sink abandons the song.
        """
        song, start = self.job.info.path, time.monotonic()
        total, rate = self._scanned.frames, self.job.info.sample_rate
        try:
            yield Opened(song, self.job.info)
            for warning in self._warnings:
                yield Warned(warning, song)
            done = 0
            yield Progressed(song, 0, total, rate, time.monotonic() - start)
            self._sink.open(total, self._tags)
            blocks = iter(self._blocks())
            while True:
                with limited_threads(self._engine.execution.threads):
                    block = next(blocks, None)
                if block is None:
                    break
                outputs = self._mixer.take(block)
                while self._engine.warnings:
                    yield Warned(f"{song}: {self._engine.warnings.pop(0)}", song)
                self._sink.write(outputs)
                done += next(iter(outputs.values())).shape[-1]
                yield Progressed(song, done, total, rate, time.monotonic() - start)
            self.close()
            self._sink.end()
        except BaseException:
            self.close()
            self._sink.abandon()
            raise

    def _blocks(self) -> Iterable[Block]:
        return () if self._separated is None else self._separated.stems


def _warnings(job: Job, model_rate: int) -> Iterator[str]:
    info = job.info
    yield from warnings_for(info, model_rate)
    rate = encoded_rate(job.encoding, info.sample_rate)
    if rate != info.sample_rate:
        yield (
            f"{info.path}: {job.encoding.format} does not support {info.sample_rate} Hz; "
            f"the stems have {rate} Hz"
        )
