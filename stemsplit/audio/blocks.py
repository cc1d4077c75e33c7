"""Blocks on their way: counting what passes, and taking as many frames as one likes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from stemsplit.audio.ffmpeg import Block
from stemsplit.errors import InputError
from stemsplit.types import StreamInfo


class FrameCounter:
    """Counts the frames that pass, and stops at the first value that is no number."""

    def __init__(self, info: StreamInfo) -> None:
        self.info = info
        self.frames = 0

    def count(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """Yield ``blocks`` (C, n) as they are; raise ``InputError`` for NaN and infinity."""
        for block in blocks:
            finite = np.isfinite(block)
            if not finite.all():
                first = self.frames + int(np.argmin(finite.all(axis=0)))
                raise InputError(
                    f"holds values that are no numbers (NaN or infinite), the first at "
                    f"{first / self.info.sample_rate:.3f} s (frame {first})",
                    path=self.info.path,
                    hint="export the file again, or repair it in an audio editor",
                )
            self.frames += block.shape[-1]
            yield block


class BlockReader:
    """Takes as many frames as asked from blocks of any length."""

    def __init__(self, blocks: Iterable[Block]) -> None:
        self._blocks = iter(blocks)
        self._kept: list[Block] = []

    def take(self, frames: int) -> Block:
        """Return the next ``frames`` frames ``(C, frames)``."""
        while sum(block.shape[-1] for block in self._kept) < frames:
            self._kept.append(next(self._blocks))
        joined = np.concatenate(self._kept, axis=-1)
        self._kept = [joined[:, frames:]]
        return joined[:, :frames]
