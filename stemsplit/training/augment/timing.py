"""Time: sources shifted against each other, or played backwards."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from stemsplit.training.augment.base import (
    Effect,
    EffectAugmentation,
    Signals,
    SourceAugmentation,
    check_value,
)


@dataclass(frozen=True, kw_only=True)
class TimeShift(SourceAugmentation):
    """Cuts each source at a random place, up to ``max_seconds`` later (Demucs, ``Shift``).

    With ``per = "song"`` the sources of a song remain aligned; sources that are not chosen start
    where the excerpt does.
    """

    max_seconds: float = 1.0

    def check(self) -> None:
        """Raise ``UsageError`` for a negative time."""
        check_value("max_seconds", self.max_seconds, least=0.0)

    def margin(self, frames: int) -> int:
        """Return the largest shift in frames."""
        return round(self.max_seconds * self.material.sample_rate)

    def __call__(self, sources: Signals, rng: Generator) -> Signals:
        """Return ``sources`` (B, S, C, T), shifted; the only copy."""
        longest = self.margin(0)
        frames = sources.shape[-1] - longest
        starts = np.zeros(sources.shape[:2], np.int64)
        for song, members in self.groups(len(sources), rng):
            starts[song, members] = rng.integers(longest, endpoint=True)
        shifted = np.empty((*sources.shape[:-1], frames), np.float32)
        for place, start in np.ndenumerate(starts):
            shifted[place] = sources[place][:, start : start + frames]
        return shifted


@dataclass(frozen=True, kw_only=True)
class RandomInverse(EffectAugmentation):
    """Plays sources backwards."""

    p: float = 0.1

    def draw(self, rng: Generator) -> Effect:
        """Return the effect, which has no random values."""
        return _backwards


def _backwards(signal: Signals) -> Signals:
    return signal[:, ::-1]
