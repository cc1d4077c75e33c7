"""Channels: left and right swapped, averaged, or inverted in sign."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.random import Generator

from stemsplit.training.augment.base import (
    PER,
    Effect,
    EffectAugmentation,
    Signals,
    SourceAugmentation,
)


@dataclass(frozen=True, kw_only=True)
class ChannelShuffle(EffectAugmentation):
    """Reverses the order of the channels: swaps left and right."""

    p: float = 0.5

    def draw(self, rng: Generator) -> Effect:
        """Return the effect, which has no random values."""
        return _reversed_channels


def _reversed_channels(signal: Signals) -> Signals:
    return signal[::-1]


@dataclass(frozen=True, kw_only=True)
class Mono(EffectAugmentation):
    """Replaces all channels by their average."""

    p: float = 0.1

    def draw(self, rng: Generator) -> Effect:
        """Return the effect, which has no random values."""
        return _averaged_channels


def _averaged_channels(signal: Signals) -> Signals:
    mean: Signals = signal.mean(axis=0, keepdims=True, dtype=np.float32)
    return mean


@dataclass(frozen=True, kw_only=True)
class RandomPolarity(SourceAugmentation):
    """Flips the sign, in place; with ``per = "channel"`` that of each channel by itself."""

    p: float = 0.5
    choices_of_per: ClassVar[tuple[str, ...]] = (*PER, "channel")

    def __call__(self, sources: Signals, rng: Generator) -> Signals:
        """Return ``sources`` (B, S, C, T), with signs flipped in place."""
        if self.per != "channel":
            for song, members in self.groups(len(sources), rng):
                for source in members:
                    np.negative(sources[song, source], out=sources[song, source])
            return sources
        indices, channels = self.indices, sources.shape[2]
        chosen = rng.random((len(sources), len(indices), channels)) < self.p
        for song, number, channel in np.argwhere(chosen):
            signal = sources[song, indices[number], channel]
            np.negative(signal, out=signal)
        return sources
