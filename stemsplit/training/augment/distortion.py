"""Distortion: tanh, soft limiting, noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from stemsplit.data.waveforms import gain
from stemsplit.training.augment.base import (
    Effect,
    EffectAugmentation,
    Signals,
    check_range,
    root_mean_square,
)

#: tanh is half of its input's largest value at the threshold: the definition of audiomentations.
HALF = 0.5
NEVER_ZERO = 1e-6


@dataclass(frozen=True, kw_only=True)
class TanhDistortion(EffectAugmentation):
    """tanh with a gain before it, at the same level as before (audiomentations).

    ``min`` and ``max`` are the share of samples (0 to 1, after removing 1 %) that are distorted:
    the gain makes this quantile of the magnitudes 0.5.
    """

    p: float = 0.1
    min: float = 0.01
    max: float = 0.7

    def check(self) -> None:
        """Raise ``UsageError`` for shares outside 0 to 1."""
        check_range("min", self.min, "max", self.max, least=0.0, most=1.0)

    def draw(self, rng: Generator) -> Effect:
        """Return the effect with a random amount."""
        quantile = 1 - 0.99 * rng.uniform(self.min, self.max)

        def distort(signal: Signals) -> Signals:
            threshold = np.quantile(np.abs(signal), quantile)
            distorted: Signals = np.tanh(signal * np.float32(HALF / (threshold + NEVER_ZERO)))
            if (level := root_mean_square(distorted)) > 0:
                distorted *= np.float32(root_mean_square(signal) / level)
            return distorted

        return distort


@dataclass(frozen=True, kw_only=True)
class SoftLimit(EffectAugmentation):
    """A soft clipper: magnitudes above a threshold approach full scale like tanh.

    It is computed as a gain over time. With ``per = "song"`` that of the sum of the stems is
    applied to each of them, so that they sum to the limited mixture; with ``"source"`` each stem
    has its own. ``drive`` is a gain before it.
    """

    p: float = 0.5
    per: str = "song"
    min_drive_db: float = 0.0
    max_drive_db: float = 6.0
    min_threshold_db: float = -9.0
    max_threshold_db: float = -1.0

    def check(self) -> None:
        """Raise ``UsageError`` for empty ranges, and for thresholds at full scale or above."""
        check_range("min_drive_db", self.min_drive_db, "max_drive_db", self.max_drive_db)
        low, high = self.min_threshold_db, self.max_threshold_db
        check_range("min_threshold_db", low, "max_threshold_db", high, most=-0.01)

    def draw_curve(self, rng: Generator) -> Effect:
        """Return the function from a signal (C, T) to its gains (C, T), with random values."""
        drive = np.float32(gain(rng.uniform(self.min_drive_db, self.max_drive_db)))
        knee = np.float32(gain(rng.uniform(self.min_threshold_db, self.max_threshold_db)))
        headroom = np.float32(1) - knee

        def gains(signal: Signals) -> Signals:
            found = np.full_like(signal, drive)
            above = np.abs(signal) * drive > knee
            driven = np.abs(signal[above]) * drive
            found[above] *= (knee + headroom * np.tanh((driven - knee) / headroom)) / driven
            return found

        return gains

    def draw(self, rng: Generator) -> Effect:
        """Return the effect on a signal by itself, with random values."""
        gains = self.draw_curve(rng)
        return lambda signal: signal * gains(signal)

    def __call__(self, sources: Signals, rng: Generator) -> Signals:
        """Return ``sources`` (B, S, C, T), limited in place."""
        for song, members in self.groups(len(sources), rng):
            gains = self.draw_curve(rng)(sources[song, members].sum(axis=0))
            for source in members:
                sources[song, source] *= gains
        return sources


@dataclass(frozen=True, kw_only=True)
class GaussianNoise(EffectAugmentation):
    """White noise of a random standard deviation, which becomes a part of the source."""

    p: float = 0.1
    min_amplitude: float = 0.001
    max_amplitude: float = 0.015

    def check(self) -> None:
        """Raise ``UsageError`` for an empty range."""
        low, high = self.min_amplitude, self.max_amplitude
        check_range("min_amplitude", low, "max_amplitude", high, least=0.0)

    def draw(self, rng: Generator) -> Effect:
        """Return the effect with a random amplitude."""
        amplitude = np.float32(rng.uniform(self.min_amplitude, self.max_amplitude))

        def add(signal: Signals) -> Signals:
            return signal + amplitude * rng.standard_normal(signal.shape, np.float32)

        return add
