"""Encoders that store uncompressed samples, from start to end: to a file, or to a pipe.

The headers are written here, not by a library, because all sizes are known before the first sample,
because some chunks must precede it, and because a time of writing must not appear in files that are
identical in every run.
"""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from typing import ClassVar, Protocol

import numpy as np

from stemsplit.audio.chunks import Order
from stemsplit.audio.encoders.base import Encoder, Stem
from stemsplit.audio.writable import writing
from stemsplit.types import Depth

BYTES_PER_SAMPLE: dict[Depth, int] = {"16": 2, "24": 3, "32f": 4}
#: RIFF and AIFF count bytes in 32 bits; headers and tags stay below the 64 MiB left for them.
MOST_DATA = 2**32 - 2**26


class ByteSink(Protocol):
    """Something that bytes are written to, in order."""

    def write(self, data: bytes, /) -> int:
        """Write ``data``."""

    def close(self) -> None:
        """Finish; no more data follows."""


class Pcm(Encoder):
    """A header, the samples in byte order ``order``, and tags after them.

    They are written to ``sink``, if given, instead of the file. With ``bare``, only the samples are
    written.
    """

    order: ClassVar[Order]
    even: ClassVar[bool] = False  # whether tags start at an even byte, as RIFF chunks do

    def __init__(self, stem: Stem, sink: ByteSink | None = None, *, bare: bool = False) -> None:
        super().__init__(stem)
        if self._depth is None:
            raise ValueError(f"{stem.options.format} has no bit depth")
        self._stored_depth = self._depth
        self._into_file = sink is None
        self._bare = bare
        self._after = b"" if bare else self._end()
        start = b"" if bare else self._start(self._depth, len(self._after))
        self._size = len(start)
        with writing(stem.target):
            self._file: ByteSink = stem.temporary.open("wb") if sink is None else sink
            self._file.write(start)

    @classmethod
    def known_size(cls, samples: int, depth: Depth | None) -> int:
        return samples * BYTES_PER_SAMPLE[depth] if depth else 0

    @abstractmethod
    def _start(self, depth: Depth, after: int) -> bytes:
        """Return all bytes before the first sample; ``after`` is the size of those at the end."""

    @abstractmethod
    def _end(self) -> bytes:
        """Return the bytes after the last sample: tags."""

    def _store(self, samples: np.ndarray) -> None:
        data = pack(samples, self._stored_depth, self.order)
        self._size += len(data)
        with writing(self.stem.target):
            self._file.write(data)

    def close(self) -> None:
        padding = self._size % 2 if self.even and not self._bare else 0
        self._size += padding + len(self._after)
        with writing(self.stem.target):
            self._file.write(bytes(padding) + self._after)
            self._file.close()
            stored = self.stem.temporary.stat().st_size if self._into_file else self._size
        if stored != self._size:
            raise self._failure(f"{stored} of {self._size} bytes were written")

    def abandon(self) -> None:
        with contextlib.suppress(OSError):  # a full disk is already reported
            self._file.close()


def pack(samples: np.ndarray, depth: Depth, order: Order) -> bytes:
    """Return frames (n, C) of float32, int16, or int32 (sample in the upper 24 bits), as stored."""
    kind = {"16": "i2", "24": "i4", "32f": "f4"}[depth]
    stored = np.ascontiguousarray(samples, dtype=f"{order}{kind}")
    if depth != "24":
        return stored.tobytes()
    four = stored.view(np.uint8).reshape(-1, 4)
    return (four[:, 1:] if order == "<" else four[:, :3]).tobytes()
