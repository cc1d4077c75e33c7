"""The base of all encoders: an encoder writes the blocks of one stem to one file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import numpy as np

from stemsplit.audio.blocks import Block
from stemsplit.audio.formats import INTEGERS, clip_of, depth_of
from stemsplit.audio.quantise import Dither, count_above, quantise
from stemsplit.audio.tags.model import Tags
from stemsplit.audio.writable import output_error, why_unwritable
from stemsplit.errors import StemsplitError
from stemsplit.options import EncodingOptions
from stemsplit.types import Depth


@dataclass(frozen=True, slots=True, kw_only=True)
class Stem:
    """Everything that an encoder needs to know about a stem."""

    name: str
    target: Path  # final path, named in errors
    temporary: Path  # path while it is written
    options: EncodingOptions
    sample_rate: int  # Hz
    channels: int
    frames: int
    tags: Tags
    streams: tuple[str, ...] = ()  # names, if the file has several; each has two of the channels


class Encoder(ABC):
    """Writes one stem to its temporary file."""

    def __init__(self, stem: Stem) -> None:
        self.stem = stem
        self.frames = 0
        self.above = 0  # samples above full scale
        self._clamps = clip_of(stem.options) == "clamp"
        self._depth = depth_of(stem.options)
        dithered = stem.options.dither and self._depth == "16"
        self._dither = Dither(stem.name) if dithered else None

    @classmethod
    def known_size(cls, samples: int, depth: Depth | None) -> int:
        """Return the size (bytes) of ``samples`` in a file; 0 if it depends on compression."""
        return 0

    def write(self, block: Block) -> None:
        """Append ``block`` (C, n), full scale ±1.0."""
        if self._depth in INTEGERS:
            depth = cast(Literal["16", "24"], self._depth)
            samples, above = quantise(block, depth, self._dither)
        else:
            above = count_above(block)
            samples = np.ascontiguousarray((block.clip(-1, 1) if self._clamps else block).T)
        self.above += above
        self._store(samples)
        self.frames += block.shape[1]

    @abstractmethod
    def _store(self, samples: np.ndarray) -> None:
        """Append frames (n, C) of float32, int16, or int32 with the sample in the upper 24 bits."""

    @abstractmethod
    def close(self) -> None:
        """Complete the file. Raises ``StemsplitError`` if it is not as expected."""

    @abstractmethod
    def abandon(self) -> None:
        """Release the file, which is no longer needed; never raises."""

    def _failure(self, reason: str) -> StemsplitError:
        """Return the error for a file that could not be written."""
        exc = why_unwritable(self.stem.temporary) or OSError(None, reason)
        return output_error(exc, self.stem.target)
