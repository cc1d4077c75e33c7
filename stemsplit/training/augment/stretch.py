"""Pitch and tempo, changed by Signalsmith Stretch (python-stretch, of the extra ``train``).

Its time stretching keeps frequencies, but its transposition is up to 22 cents off at 55 Hz
(measured, version 0.3.1). So the pitch is changed here by stretching and resampling.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from importlib.util import find_spec
from math import ceil, floor

import numpy as np
from numpy.random import Generator

from stemsplit.errors import ResourceError
from stemsplit.training.augment.base import Signals, SourceAugmentation, check_range, check_value
from stemsplit.training.augment.filters import resample_to

#: Seconds of audio before and after, so that what is left has no edges: the length of its blocks.
CONTEXT = 0.12
#: A little more than the rounding errors of a product.
ROUNDING = 1e-9
SEEDS = 2**31


@dataclass(frozen=True, kw_only=True)
class Stretching(SourceAugmentation):
    """Changes pitch and tempo. The start of an excerpt stays where it was, at any tempo."""

    p: float = 0.2

    def check(self) -> None:
        """Raise ``ResourceError`` without python-stretch, ``UsageError`` for invalid ranges."""
        if find_spec("python_stretch") is None:
            reason = "changing pitch or tempo needs python-stretch, which is not installed"
            raise ResourceError(reason, hint="pip install 'stemsplit[train]'")

    @property
    @abstractmethod
    def fastest(self) -> float:
        """The highest tempo, as a factor."""

    @abstractmethod
    def draw_change(self, rng: Generator) -> tuple[float, float]:
        """Return a random pitch in semitones, and a random tempo as a factor."""

    @property
    def _context(self) -> int:
        return round(CONTEXT * self.material.sample_rate)

    @property
    def _most(self) -> float:
        """How many frames, at most, are read for one frame of output."""
        return max(1.0, self.fastest)

    def margin(self, frames: int) -> int:
        """Return the frames of the context, and those that the highest tempo takes."""
        context, most = self._context, self._most
        return ceil(context * most) + ceil((frames + context) * most - ROUNDING) - frames

    def __call__(self, sources: Signals, rng: Generator) -> Signals:
        """Return ``sources`` (B, S, C, T), stretched; T is shorter by the margin."""
        context, most = self._context, self._most
        lead = ceil(context * most)
        frames = floor((sources.shape[-1] - lead) / most + ROUNDING) - context
        stretched = sources[..., lead : lead + frames].copy()
        for song, members in self.groups(len(sources), rng):
            semitones, tempo = self.draw_change(rng)
            seed = int(rng.integers(SEEDS))
            start = lead - round(context * tempo)
            end = start + round((frames + 2 * context) * tempo)
            target = Target(frames, context, semitones, self.material.sample_rate, seed)
            for source in members:
                stretched[song, source] = repitch(sources[song, source, :, start:end], target)
        return stretched


@dataclass(frozen=True, slots=True)
class Target:
    """What a signal becomes: ``frames`` with a ``context`` on either side, at another pitch."""

    frames: int
    context: int
    semitones: float
    sample_rate: int  # Hz
    seed: int  # of the phases that Signalsmith Stretch invents


def repitch(signal: Signals, target: Target) -> Signals:
    """Return ``signal`` (C, T), context included, as ``target.frames`` frames without it."""
    from python_stretch.Signalsmith import Stretch

    whole = target.frames + 2 * target.context
    factor = 2 ** (target.semitones / 12)
    between = round(whole * factor)
    stretch = Stretch(target.seed)
    stretch.preset(signal.shape[0], target.sample_rate)
    stretch.setTimeFactor(signal.shape[1] / between)
    longer = np.asarray(stretch.process(np.ascontiguousarray(signal)), np.float32)
    if between != whole:
        fade = _fade(round(target.context * factor / 2))
        longer[:, : len(fade)] *= fade
        longer[:, -len(fade) :] *= fade[::-1]
        longer = resample_to(longer, whole)
    return longer[:, target.context : target.context + target.frames]


def _fade(frames: int) -> Signals:
    """Return a smooth rise (T,) from 0 to 1."""
    rise = 0.5 - 0.5 * np.cos(np.pi * (np.arange(frames) + 0.5) / frames)
    return rise.astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class PitchShift(Stretching):
    """Another pitch at the same tempo."""

    p: float = 0.1
    min_semitones: float = -5.0
    max_semitones: float = 5.0
    fastest = 1.0

    def check(self) -> None:
        """Raise ``ResourceError`` without python-stretch, ``UsageError`` for invalid ranges."""
        super().check()
        low, high = self.min_semitones, self.max_semitones
        check_range("min_semitones", low, "max_semitones", high, least=-24.0, most=24.0)

    def draw_change(self, rng: Generator) -> tuple[float, float]:
        """Return a random pitch, and the same tempo."""
        return rng.uniform(self.min_semitones, self.max_semitones), 1.0


@dataclass(frozen=True, kw_only=True)
class TimeStretch(Stretching):
    """Another tempo at the same pitch."""

    p: float = 0.1
    min_rate: float = 0.8
    max_rate: float = 1.25

    def check(self) -> None:
        """Raise ``ResourceError`` without python-stretch, ``UsageError`` for invalid ranges."""
        super().check()
        low, high = self.min_rate, self.max_rate
        check_range("min_rate", low, "max_rate", high, least=0.25, most=4.0)

    @property
    def fastest(self) -> float:
        """The highest tempo, as a factor."""
        return self.max_rate

    def draw_change(self, rng: Generator) -> tuple[float, float]:
        """Return the same pitch, and a random tempo."""
        return 0.0, rng.uniform(self.min_rate, self.max_rate)


@dataclass(frozen=True, kw_only=True)
class Repitch(Stretching):
    """Another pitch and tempo, by default the same for all sources (Demucs, ``repitch.py``).

    Demucs draws whole semitones up to ±2, and tempos up to ±12 %.
    """

    per: str = "song"
    max_semitones: int = 2
    max_tempo: float = 12.0  # per cent

    def check(self) -> None:
        """Raise ``ResourceError`` without python-stretch, ``UsageError`` for invalid ranges."""
        super().check()
        check_value("max_semitones", self.max_semitones, least=0, most=24)
        check_value("max_tempo", self.max_tempo, least=0.0, most=75.0)

    @property
    def fastest(self) -> float:
        """The highest tempo, as a factor."""
        return 1 + self.max_tempo / 100

    def draw_change(self, rng: Generator) -> tuple[float, float]:
        """Return a random pitch and tempo."""
        semitones = int(rng.integers(-self.max_semitones, self.max_semitones, endpoint=True))
        return semitones, 1 + rng.uniform(-self.max_tempo, self.max_tempo) / 100
