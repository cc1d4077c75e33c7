"""A-weighting with a short linear-phase filter, block by block."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from stemsplit.evaluation.filtering import FirFilter

TAPS = 101
SIZE = 4_096  # of the transforms
#: Poles of the analogue filter, Hz (IEC 61672-1), and its gain, so that 1 kHz has 0 dB.
POLES = (20.598997, 107.65265, 737.86223, 12_194.217)
GAIN = 1.9997  # dB
#: Frequencies at which the response is known: pairs of them are the bands to fit.
POINTS = 512


class AWeighting:
    """Filters blocks ``(…, T)`` of any length, with silence before and after the signal."""

    def __init__(self, sample_rate: int) -> None:
        self._filter = FirFilter(design_filter(sample_rate), SIZE)
        self._early = TAPS // 2  # samples before those that belong to the first of the signal

    def add(self, block: Tensor) -> Tensor:
        """Return the next filtered samples, in time with the signal."""
        return self._in_time(self._filter.add(block))

    def end(self) -> Tensor:
        """Return the samples that remain."""
        return self._in_time(self._filter.end(TAPS // 2))

    def _in_time(self, filtered: Tensor) -> Tensor:
        early = min(self._early, filtered.shape[-1])
        self._early -= early
        return filtered[..., early:]


def design_filter(sample_rate: int) -> NDArray[np.float64]:
    """Return the ``TAPS`` of A-weighting at ``sample_rate``, symmetric.

    Least squares fit them to the response of the analogue filter after the bilinear transform, as
    `auraloss` 0.4.0 does (``FIRFilter``, after A. Wright and V. Välimäki, "Perceptual loss function
    for neural modeling of audio systems", ICASSP 2020).
    """
    edges = np.arange(POINTS) / POINTS  # relative to half the sample rate
    s = 2j * sample_rate * np.tan(np.pi / 2 * edges)
    one, two, three, four = (2 * np.pi * pole for pole in POLES)
    below = (s + four) ** 2 * (s + one) ** 2 * (s + three) * (s + two)
    wanted = np.abs(four**2 * 10 ** (GAIN / 20) * s**4 / below)
    return _least_squares(edges.reshape(-1, 2), wanted.reshape(-1, 2))


def _least_squares(bands: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the taps whose response is closest to ``wanted`` within ``bands``, both ``(N, 2)``.

    The response is a sum of cosines; between the two edges of a band ``wanted`` is a straight line.
    Frequencies between two bands are ignored.
    """
    half = TAPS // 2
    order = np.arange(2 * half + 1)[:, None, None]
    primitive = bands * np.sinc(order * bands)  # of cos(π n f)
    products = np.diff(primitive, axis=-1).sum(axis=(1, 2))
    first = np.arange(half + 1)
    matrix = products[np.abs(first[:, None] - first)] + products[first[:, None] + first]
    slope = np.diff(wanted) / np.diff(bands)
    level = wanted[:, :1] - slope * bands[:, :1]
    integral = (slope * bands + level) * primitive[: half + 1]
    integral[0] -= slope * bands**2 / 2
    angle = np.pi * order[1 : half + 1]
    integral[1:] += slope * np.cos(angle * bands) / angle**2
    cosines = np.linalg.solve(matrix, np.diff(integral, axis=-1).sum(axis=(1, 2)))
    return np.concatenate([cosines[:0:-1], 2 * cosines[:1], cosines[1:]])
