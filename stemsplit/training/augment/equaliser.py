"""Equalisers: shelves and peaks with random frequencies, gains and widths.

The filters are those of R. Bristow-Johnson's Audio EQ Cookbook; names and ranges those of
audiomentations, as used by the community's trainer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from stemsplit.training.augment.base import Effect, EffectAugmentation, check_range
from stemsplit.training.augment.filters import apply_response

Shape: TypeAlias = Literal["low_shelf", "peak", "high_shelf"]

#: The filter counts as silent once it has decayed by this factor: 120 dB.
DECAYED = 1e-6
#: Centre frequencies are kept below this fraction of the sample rate.
HIGHEST = 0.45
#: Ranges of the quality of a shelf and of a peak.
SHELF_Q, PEAK_Q = (0.1, 0.999), (0.5, 5.0)
#: The bands of audiomentations' ``SevenBandParametricEQ``: shape, and range of the centre in Hz.
SEVEN_BANDS: tuple[tuple[Shape, float, float], ...] = (
    ("low_shelf", 42.0, 95.0),
    ("peak", 91.0, 204.0),
    ("peak", 196.0, 441.0),
    ("peak", 421.0, 948.0),
    ("peak", 909.0, 2045.0),
    ("peak", 1957.0, 4404.0),
    ("high_shelf", 4216.0, 9486.0),
)


@dataclass(frozen=True, slots=True)
class Band:
    """A filter of second order: its shape, centre (Hz), gain (dB) and quality."""

    shape: Shape
    frequency: float
    gain: float
    quality: float

    def coefficients(self, sample_rate: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the polynomials ``b`` and ``a`` (3,) in z⁻¹, with a[0] = 1."""
        amplitude = 10 ** (self.gain / 40)
        omega = 2 * np.pi * min(self.frequency, HIGHEST * sample_rate) / sample_rate
        cosine, alpha = np.cos(omega), np.sin(omega) / (2 * self.quality)
        if self.shape == "peak":
            b = [1 + alpha * amplitude, -2 * cosine, 1 - alpha * amplitude]
            a = [1 + alpha / amplitude, -2 * cosine, 1 - alpha / amplitude]
        else:
            sign = 1 if self.shape == "low_shelf" else -1  # they mirror each other in frequency
            plus, minus = amplitude + 1, amplitude - 1
            root = 2 * np.sqrt(amplitude) * alpha
            inner, outer = plus - sign * minus * cosine, plus + sign * minus * cosine
            b = [
                amplitude * (inner + root),
                sign * 2 * amplitude * (minus - sign * plus * cosine),
                amplitude * (inner - root),
            ]
            a = [outer + root, -sign * 2 * (minus + sign * plus * cosine), outer - root]
        return np.array(b) / a[0], np.array(a) / a[0]


def equalise(bands: list[Band], sample_rate: int) -> Effect:
    """Return the effect of ``bands`` in series."""
    filters = [band.coefficients(sample_rate) for band in bands]
    radius = max(float(np.abs(np.roots(a)).max()) for _b, a in filters)
    tail = int(np.ceil(np.log(DECAYED) / np.log(radius)))

    def response(z: NDArray[np.complex128]) -> NDArray[np.complex128]:
        whole = np.ones_like(z)
        for b, a in filters:
            whole *= (b[0] + z * (b[1] + z * b[2])) / (a[0] + z * (a[1] + z * a[2]))
        return whole

    return lambda signal: apply_response(signal, response, tail)


@dataclass(frozen=True, kw_only=True)
class SevenBandParametricEq(EffectAugmentation):
    """Seven bands from 42 to 9486 Hz, each with a random gain, centre and quality."""

    p: float = 0.5
    min_gain_db: float = -12.0
    max_gain_db: float = 12.0

    def check(self) -> None:
        """Raise ``UsageError`` for an empty range."""
        check_range("min_gain_db", self.min_gain_db, "max_gain_db", self.max_gain_db)

    def draw_bands(self, rng: Generator) -> list[Band]:
        """Return random bands."""
        return [
            Band(
                shape,
                rng.uniform(low, high),
                rng.uniform(self.min_gain_db, self.max_gain_db),
                rng.uniform(*(PEAK_Q if shape == "peak" else SHELF_Q)),
            )
            for shape, low, high in SEVEN_BANDS
        ]

    def draw(self, rng: Generator) -> Effect:
        """Return the effect with random bands."""
        return equalise(self.draw_bands(rng), self.material.sample_rate)


@dataclass(frozen=True, kw_only=True)
class RandomBand(EffectAugmentation):
    """One band with a random centre (log-uniform, Hz), gain (dB) and quality."""

    p: float = 0.5
    min_center_freq: float
    max_center_freq: float
    min_gain_db: float
    max_gain_db: float
    min_q: float
    max_q: float
    shape: ClassVar[Shape]

    def check(self) -> None:
        """Raise ``UsageError`` for empty ranges, and for centres and qualities not above 0."""
        low, high = self.min_center_freq, self.max_center_freq
        check_range("min_center_freq", low, "max_center_freq", high, least=1.0)
        check_range("min_gain_db", self.min_gain_db, "max_gain_db", self.max_gain_db)
        check_range("min_q", self.min_q, "max_q", self.max_q, least=0.01)

    def draw(self, rng: Generator) -> Effect:
        """Return the effect with a random band."""
        centre = np.exp(rng.uniform(np.log(self.min_center_freq), np.log(self.max_center_freq)))
        gain = rng.uniform(self.min_gain_db, self.max_gain_db)
        band = Band(self.shape, float(centre), gain, rng.uniform(self.min_q, self.max_q))
        return equalise([band], self.material.sample_rate)


@dataclass(frozen=True, kw_only=True)
class LowShelf(RandomBand):
    """Raises or lowers everything below the centre."""

    min_center_freq: float = 50.0
    max_center_freq: float = 4000.0
    min_gain_db: float = -18.0
    max_gain_db: float = 18.0
    min_q: float = SHELF_Q[0]
    max_q: float = SHELF_Q[1]
    shape = "low_shelf"


@dataclass(frozen=True, kw_only=True)
class HighShelf(RandomBand):
    """Raises or lowers everything above the centre."""

    min_center_freq: float = 300.0
    max_center_freq: float = 7500.0
    min_gain_db: float = -18.0
    max_gain_db: float = 18.0
    min_q: float = SHELF_Q[0]
    max_q: float = SHELF_Q[1]
    shape = "high_shelf"


@dataclass(frozen=True, kw_only=True)
class Peaking(RandomBand):
    """Raises or lowers what is around the centre."""

    min_center_freq: float = 50.0
    max_center_freq: float = 7500.0
    min_gain_db: float = -24.0
    max_gain_db: float = 24.0
    min_q: float = PEAK_Q[0]
    max_q: float = PEAK_Q[1]
    shape = "peak"
