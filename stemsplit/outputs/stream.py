"""Writes one stem to a pipe while it is being separated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import BinaryIO

from stemsplit.audio.blocks import Block
from stemsplit.audio.encoders.base import Stem
from stemsplit.audio.encoders.opening import open_stream_encoder
from stemsplit.audio.tags.model import Tags
from stemsplit.errors import OutputError, StemsplitError
from stemsplit.outputs.job import Job
from stemsplit.outputs.writer import clipping
from stemsplit.types import Event, Finished, Warned


class ReaderGone(OutputError):
    """The reader has closed the stream."""


class StreamWriter:
    """Writes the only stem of a ``job`` to a stream, in place of a `BackgroundWriter`.

    The bytes are those of the file, or with ``bare`` only its samples. It writes in the caller's
    thread, so that a signal can interrupt even a write to a full pipe.
    """

    def __init__(self, job: Job, to: BinaryIO, *, bare: bool) -> None:
        self._job = job
        self._bare = bare
        self._to = _Pipe(to)
        ((self._name, self._target),) = job.outputs.items()
        self.frames = 0

    def open(self, frames: int, tags: Tags) -> None:
        """Write everything that precedes the first of ``frames`` frames."""
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
        """Write everything that follows the last frame."""
        if self._encoder.frames != self.frames:
            counts = f"{self._encoder.frames} frames instead of {self.frames}"
            raise StemsplitError(f"stem {self._name} has {counts}", path=self._target)
        self._encoder.close()

    def abandon(self) -> None:
        """Do nothing: the reader already has what was written."""

    def finish(self) -> Iterator[Event]:
        """Yield warnings and ``Finished``."""
        info = self._job.info
        for warning in clipping(self._job.encoding, 1.0, {self._name: self._encoder.above}):
            yield Warned(f"{info.path}: {warning}", info.path)
        yield Finished(info.path, self._job.outputs, info.sample_rate, info.channels, self.frames)


class _Pipe:
    """A stream that its writer does not close, and that raises if its reader is gone."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, data: bytes) -> int:
        try:
            return self._stream.write(data)
        except BrokenPipeError as exc:
            raise ReaderGone("the reader closed the stream") from exc

    def close(self) -> None:
        try:
            self._stream.flush()
        except BrokenPipeError as exc:
            raise ReaderGone("the reader closed the stream") from exc
