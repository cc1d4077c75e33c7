"""Levels: a random gain of each source, as a factor or in dB."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from stemsplit.data.waveforms import gain
from stemsplit.training.augment.base import Signals, SourceAugmentation, check_range


@dataclass(frozen=True, kw_only=True)
class RandomGain(SourceAugmentation):
    """Multiplies sources by random factors, in place."""

    @abstractmethod
    def draw_factor(self, rng: Generator) -> float:
        """Return a random factor."""

    def __call__(self, sources: Signals, rng: Generator) -> Signals:
        """Return ``sources`` (B, S, C, T), scaled in place."""
        for song, members in self.groups(len(sources), rng):
            factor = np.float32(self.draw_factor(rng))
            for source in members:
                sources[song, source] *= factor
        return sources


@dataclass(frozen=True, kw_only=True)
class Gain(RandomGain):
    """A factor from ``low`` to ``high``: 0.25 to 1.25 in Demucs (augment.py, ``Scale``)."""

    low: float = 0.25
    high: float = 1.25

    def check(self) -> None:
        """Raise ``UsageError`` for an empty range."""
        check_range("low", self.low, "high", self.high, least=0.0)

    def draw_factor(self, rng: Generator) -> float:
        """Return a random factor."""
        return rng.uniform(self.low, self.high)


@dataclass(frozen=True, kw_only=True)
class Loudness(RandomGain):
    """A gain that is uniform in dB, so that halving is as likely as doubling."""

    min_db: float = -6.0
    max_db: float = 3.5

    def check(self) -> None:
        """Raise ``UsageError`` for an empty range."""
        check_range("min_db", self.min_db, "max_db", self.max_db)

    def draw_factor(self, rng: Generator) -> float:
        """Return a random factor."""
        return gain(rng.uniform(self.min_db, self.max_db))
