"""The level of a sound every tenth of a second, which tells where it is silent."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stemsplit.audio.blocks import Block

STEP = 0.1  # s
FLOOR = -120.0  # dB, also of digital silence


class LevelMeter:
    """The mean power of every tenth of a second of blocks ``(C, n)``."""

    def __init__(self, sample_rate: int) -> None:
        self._step = STEP * sample_rate
        self._frames = self._steps = 0  # steps: those that are complete
        self._energy: list[float] = []

    def add(self, block: Block) -> None:
        """Add the next block."""
        power = np.mean(block.astype(np.float64) ** 2, axis=0)
        done = 0
        while done < len(power):
            border = round((self._steps + 1) * self._step)
            taken = min(len(power) - done, border - self._frames)
            if self._steps == len(self._energy):
                self._energy.append(0.0)
            self._energy[-1] += float(power[done : done + taken].sum())
            done += taken
            self._frames += taken
            self._steps += self._frames == border

    def result(self) -> NDArray[np.float32]:
        """Return the levels ``(N,)`` in dB; 0 dB is a constant 1.0. The last step may be short."""
        borders = np.round(np.arange(len(self._energy) + 1) * self._step)
        borders[-1] = min(borders[-1], self._frames) if len(borders) > 1 else 0
        lengths = np.maximum(1, np.diff(borders))
        return to_decibel(np.array(self._energy) / lengths)


def to_decibel(power: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return ``power`` in dB, at least ``FLOOR``."""
    levels = 10 * np.log10(np.maximum(power, 10 ** (FLOOR / 10)))
    return np.asarray(levels, np.float32)


def add_levels(levels: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return the levels ``(N,)`` of a sum of unrelated sounds: their powers are added."""
    total = np.zeros(max((len(each) for each in levels), default=0))
    for each in levels:
        total[: len(each)] += np.where(each > FLOOR, 10 ** (each.astype(np.float64) / 10), 0.0)
    return to_decibel(total)
