"""How close an estimate is to the truth, in dB. Higher is better; all sums run in float64."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Added to both energies, as the challenges of 2021 and 2023 do (see ``global_sdr``).
EPSILON = 1e-7


def global_sdr(reference: ArrayLike, estimate: ArrayLike) -> float:
    """Return the signal to distortion ratio of ``estimate`` to ``reference``, both ``(C, T)``, dB.

    ``10 log10((Σ s² + ε) / (Σ (s − ŝ)² + ε))`` over all channels and samples, with ε = 1e-7: the
    uSDR of the Music Demixing Challenge (Y. Mitsufuji et al., "Music Demixing Challenge 2021",
    2022), computed over the whole song. ε bounds it: silence estimated as silence is 0 dB, and a
    perfect estimate is as far above as the reference is above ε. Raises ``ValueError`` where the
    two are not of one shape.
    """
    truth, guess = _pair(reference, estimate)
    distortion = _energy(truth - guess)
    return 10 * math.log10((_energy(truth) + EPSILON) / (distortion + EPSILON))


def si_sdr(reference: ArrayLike, estimate: ArrayLike) -> float:
    """Return the scale-invariant SDR of ``estimate`` to ``reference``, both ``(C, T)``, in dB.

    ``10 log10(Σ (αs)² / Σ (αs − ŝ)²)`` with ``α = Σ sŝ / Σ s²`` over all channels and samples
    (J. Le Roux et al., "SDR — half-baked or well done?", ICASSP 2019). A scaled copy is ``inf``, or
    near 300 where its samples are rounded; an estimate with nothing of the reference in it, silence
    as well, is ``-inf``; where the reference is silent there is no answer: ``nan``. Raises
    ``ValueError`` where the two are not of one shape.
    """
    truth, guess = _pair(reference, estimate)
    energy = _energy(truth)
    if energy == 0:
        return math.nan
    scaled = truth * (float(np.sum(truth * guess)) / energy)
    target, distortion = _energy(scaled), _energy(scaled - guess)
    if target == 0:
        return -math.inf
    return math.inf if distortion == 0 else 10 * math.log10(target / distortion)


def _pair(
    reference: ArrayLike, estimate: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    truth, guess = np.asarray(reference, np.float64), np.asarray(estimate, np.float64)
    if truth.shape != guess.shape:
        raise ValueError(f"reference {truth.shape} and estimate {guess.shape} differ in shape")
    return truth, guess


def _energy(wave: NDArray[np.float64]) -> float:
    return float(np.sum(wave**2))
