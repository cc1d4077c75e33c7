"""Converts floats to integers: rounding, dither and clipping."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal
from zlib import crc32

import numpy as np
import numpy.typing as npt

from stemsplit.audio.blocks import Block


class Dither:
    """Triangular noise of ±1 step, which makes the rounding error independent of the music.

    It depends only on the name of the stem: every run has the same noise, and different stems have
    different noise, so that it adds up like independent noise. See Lipshitz, Wannamaker and
    Vanderkooy, "Quantization and Dither", JAES 40 (1992).
    """

    def __init__(self, stem: str) -> None:
        self._generator = np.random.default_rng(crc32(stem.encode("utf-8", "surrogatepass")))

    def take(self, frames: int, channels: int) -> npt.NDArray[np.float32]:
        """Return the noise (n, C) of the next ``frames``, in steps."""
        uniform = self._generator.random((frames, channels, 2), dtype=np.float32)
        noise: npt.NDArray[np.float32] = uniform[..., 0] - uniform[..., 1]
        return noise


def quantise(
    block: Block, depth: Literal["16", "24"], dither: Dither | None = None
) -> tuple[np.ndarray, int]:
    """Return ``block`` (C, n) as frames (n, C) of integers, and the number of clipped samples.

    The integers are int16, or int32 with the sample in the upper 24 bits. They are rounded to the
    nearest step, after adding ``dither`` to everything but digital silence, which stays silent.
    NaN becomes silence too.
    """
    full_scale = np.float32(2 ** (int(depth) - 1))
    clipped = count_above(block)
    within = np.nan_to_num(block.T.clip(-1, 1), copy=False)
    steps = within * full_scale
    if dither is not None:
        steps += dither.take(*steps.shape) * (within != 0)
    steps = np.rint(steps).clip(-full_scale, full_scale - 1)
    if depth == "16":
        return steps.astype(np.int16, order="C"), clipped
    return steps.astype(np.int32, order="C") << 8, clipped


class Remainder:
    """What rounding to 16 bits removes from some stems, for the stem that completes their sum."""

    def __init__(self, stems: Sequence[str], *, dithered: bool) -> None:
        """Round ``stems`` as their encoders do, ``dithered`` or not."""
        self._dithers = {stem: Dither(stem) if dithered else None for stem in stems}

    def take(self, stems: Mapping[str, Block]) -> Block:
        """Return the sum (C, n) of what rounding removes from the next blocks of ``stems``.

        ``stems`` may contain further stems, which are ignored. Clipped samples do not count: what
        is above full scale must not be added to another stem.
        """
        lost = []
        for stem, dither in self._dithers.items():
            samples, _ = quantise(stems[stem], "16", dither)
            difference = stems[stem] - samples.T.astype(np.float32) / np.float32(2**15)
            lost.append(np.where(np.abs(stems[stem]) > 1, np.float32(0), difference))
        total: Block = np.sum(lost, axis=0)
        return total


def count_above(block: Block) -> int:
    """Return how many samples of ``block`` are above full scale."""
    return int(np.count_nonzero(np.abs(block) > 1))
