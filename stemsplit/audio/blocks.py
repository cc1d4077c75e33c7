"""Blocks of audio: converted from and to bytes, counted, and cut to other lengths."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from stemsplit.errors import InputError
from stemsplit.types import StreamInfo

#: Float32 audio ``(C, n)``; full scale is ±1.0.
Block: TypeAlias = npt.NDArray[np.float32]

#: The largest value that counts as sound; networks cannot add up the squares of much larger ones.
LOUDEST = 1e12


def as_block(data: bytes, channels: int) -> Block:
    """Return interleaved float32 samples as a block (C, n); drop an incomplete last frame."""
    samples = np.frombuffer(data, "<f4", count=len(data) // (4 * channels) * channels)
    # Always copy: the buffer is read-only, and torch wants a writable array.
    return np.array(samples.reshape(-1, channels).T, dtype=np.float32, order="C")


def as_bytes(block: Block) -> bytes:
    """Return a block (C, n) as interleaved little-endian float32 samples."""
    return block.T.astype("<f4").tobytes()


class FrameCounter:
    """Counts frames as they pass, and stops at the first invalid value."""

    def __init__(self, info: StreamInfo) -> None:
        self.info = info
        self.frames = 0

    def count(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """Yield ``blocks`` (C, n) unchanged; raise ``InputError`` for values that are not sound.

        These are NaN, infinity, and values with squares that a network cannot add up.
        """
        for block in blocks:
            sound = np.abs(block) <= LOUDEST
            if not sound.all():
                first = self.frames + int(np.argmin(sound.all(axis=0)))
                kind = "huge" if np.isfinite(block).all() else "NaN or infinite"
                raise InputError(
                    f"contains {kind} values, the first at "
                    f"{first / self.info.sample_rate:.3f} s (frame {first})",
                    path=self.info.path,
                    hint="export the file again, or repair it in an audio editor",
                )
            self.frames += block.shape[-1]
            yield block


class BlockReader:
    """Reads any number of frames at a time from blocks of any length."""

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
