"""One stem on its way to whoever reads it while it is made: a pipe, and nothing is kept."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import BinaryIO

from stemsplit.audio.blocks import Block
from stemsplit.audio.encoders.base import Stem
from stemsplit.audio.encoders.opening import open_stream_encoder
from stemsplit.audio.tags.model import Tags
from stemsplit.errors import OutputError, StemsplitError
from stemsplit.outputs.writer import clipping
from stemsplit.separation.engine import Engine
from stemsplit.separation.ensemble import EnsembleEngine
from stemsplit.separation.job import Job
from stemsplit.separation.pipeline import separate
from stemsplit.types import Event, Finished, Warned


class ReaderGone(OutputError):
    """Nobody reads the stream any more."""


def stream(
    job: Job, engine: Engine | EnsembleEngine, to: BinaryIO, *, bare: bool = False
) -> Generator[Event]:
    """Separate the song of ``job``, write its one stem ``to`` a stream, and yield what happens.

    The bytes are those of the file that it would be, or, if ``bare``, of its samples alone. Raises
    ``ReaderGone``, and as ``split`` of the pipeline does.
    """
    streaming = Streaming(job, to, bare=bare)
    yield from separate(job, engine, streaming)
    for remark in clipping(job.encoding, 1.0, streaming.above):
        yield Warned(f"{job.info.path}: {remark}")
    yield Finished(job.outputs, job.info.sample_rate, job.info.channels, streaming.frames)


class Streaming:
    """The sink of a song whose one stem goes to a stream.

    It writes in the thread that it is called in: a signal then ends even a write to a pipe that
    nobody empties.
    """

    def __init__(self, job: Job, to: BinaryIO, *, bare: bool) -> None:
        self._job = job
        self._bare = bare
        self._to = _Pipe(to)
        ((self._name, self._target),) = job.outputs.items()
        self.frames = 0

    @property
    def above(self) -> dict[str, int]:
        """How many samples of the stem were beyond full scale."""
        return {self._name: self._encoder.above}

    def open(self, frames: int, tags: Tags) -> None:
        """Write what stands before the first of ``frames`` frames."""
        info = self._job.info
        self.frames = frames
        self._encoder = open_stream_encoder(
            Stem(
                name=self._name,
                target=self._target,
                temporary=self._target,
                options=self._job.encoding,
                sample_rate=info.sample_rate,
                channels=info.channels,
                frames=frames,
                tags=tags.of_stem(self._name),
            ),
            self._to,
            bare=self._bare,
        )

    def write(self, stems: Mapping[str, Block]) -> None:
        """Write one block (C, n) of the stem."""
        self._encoder.write(stems[self._name])

    def end(self) -> None:
        """Write what stands after the last frame."""
        if self._encoder.frames != self.frames:
            counts = f"{self._encoder.frames} frames instead of {self.frames}"
            raise StemsplitError(f"stem {self._name} has {counts}", path=self._target)
        self._encoder.close()

    def abandon(self) -> None:
        """Do nothing: what was read cannot be taken back."""


class _Pipe:
    """A stream that is not closed by who writes to it, and tells when its reader is gone."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, data: bytes) -> int:
        try:
            return self._stream.write(data)
        except BrokenPipeError as exc:
            raise ReaderGone("nobody reads it any more") from exc

    def close(self) -> None:
        try:
            self._stream.flush()
        except BrokenPipeError as exc:
            raise ReaderGone("nobody reads it any more") from exc
