"""Metrics with one number per stem, without filters.

All of them follow from products of references and errors, summed in float64, which add up over
blocks: ``Sums``. Functions of arrays return numbers; functions of tensors return tensors that carry
gradients. Higher is better, except for ``l1``. Differences below ``ROUNDING`` times their terms
count as 0, so that ratios above 140 dB are ``inf``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stemsplit.evaluation.shapes import Signals, check_pair, check_sources, match_type

#: Added to both energies, as the challenges of 2021 and 2023 do (see ``global_sdr``).
EPSILON = 1e-7
#: Added to both energies by the community's trainer (see ``k_sdr``).
TRAINER_EPSILON = 1e-8
#: dB, the upper and (negative) lower limit of the SDR in ``k_sdr``.
LIMIT = 10.0
#: Relative size of a difference of float64 sums that should be 0.
ROUNDING = 1e-14

Number = float | NDArray[np.float64] | Tensor


@dataclass(frozen=True, slots=True)
class Sums:
    """Products of references and errors ``(…, 2·S, 2·S)``, and absolute errors ``(…, S)``.

    Errors are estimates minus references: computed from them, no small sum is the difference of
    large ones.
    """

    products: Tensor
    absolute: Tensor
    samples: int  # of all channels of a source

    @classmethod
    def of(cls, truth: Tensor, guess: Tensor) -> Sums:
        """Return the sums of references and estimates ``(…, S, C, T)``."""
        error = guess - truth
        signals = torch.cat([truth, error], -3).flatten(-2)
        samples = truth.shape[-1] * truth.shape[-2]
        return cls(signals @ signals.mT, error.abs().sum((-2, -1)), samples)

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            self.products + other.products,
            self.absolute + other.absolute,
            self.samples + other.samples,
        )

    @property
    def truth(self) -> Tensor:
        """Energies ``(…, S)`` of the references."""
        return self.products.diagonal(dim1=-2, dim2=-1)[..., : self._sources]

    @property
    def error(self) -> Tensor:
        """Energies ``(…, S)`` of the errors."""
        return self.products.diagonal(dim1=-2, dim2=-1)[..., self._sources :]

    @property
    def across(self) -> Tensor:
        """Products ``(…, S, S)`` of each reference (the rows) and each error."""
        return self.products[..., : self._sources, self._sources :]

    @property
    def _sources(self) -> int:
        return self.products.shape[-1] // 2


@dataclass(frozen=True, slots=True)
class Parts:
    """Energies ``(…, S)`` of the orthogonal parts of estimates, without filters.

    ``target`` is the stem's own reference times the factor that fits best, ``interference`` what
    the best sum of all references explains beyond that, ``artifacts`` the rest. NaN where the own
    reference is silent.
    """

    target: Tensor
    interference: Tensor
    artifacts: Tensor

    @classmethod
    def of(cls, sums: Sums) -> Parts:
        """Return the parts from ``sums``; references may be singular (two equal ones)."""
        truth, own = sums.truth, sums.across.diagonal(dim1=-2, dim2=-1)
        energy = torch.where(truth > 0, truth, math.nan)
        target = _difference(energy, -own).square() / energy
        along = own.square() / energy
        scale = torch.where(truth > 0, truth, 1.0).rsqrt()
        references = sums.products[..., : truth.shape[-1], : truth.shape[-1]]
        inverse = torch.linalg.pinv(
            references * scale[..., None] * scale[..., None, :], rtol=1e-12, hermitian=True
        )
        across = sums.across * scale[..., None]
        explained = (across * (inverse @ across)).sum(-2)
        interference = _difference(explained, along, sums.error)
        artifacts = _difference(sums.error, explained)
        # Rounding may make them negative.
        return cls(target, interference.clamp(min=0), artifacts.clamp(min=0))


def global_sdr(reference: Signals, estimate: Signals) -> Number:
    """Return the signal to distortion ratio of ``estimate`` to ``reference``, ``(…, C, T)``, dB.

    ``10 log10((Σ s² + ε) / (Σ (s − ŝ)² + ε))`` over all channels and samples, with ε = 1e-7: the
    uSDR of the Music Demixing Challenge (Y. Mitsufuji et al., "Music Demixing Challenge 2021",
    2022), computed over the whole song. ε bounds it: silence estimated as silence is 0 dB, and a
    perfect estimate scores the energy of the reference relative to ε. Raises ``ValueError`` where
    the two differ in shape, have no samples, or contain NaN or infinity.
    """
    sums = _sums_of_one(reference, estimate)
    return match_type(global_sdr_of(sums).squeeze(-1), reference, estimate)


def k_sdr(reference: Signals, estimate: Signals) -> Number:
    """Return the k-SDR ``(…)`` of signals ``(…, C, T)``: 0 to 100, higher is better.

    ``100 ln(1 + x + K) / ln(1 + 2K)``, where ``x`` is the SDR of the whole song, as ``global_sdr``
    but with ε = 1e-8, limited to ±K, K = 10 dB: a song that fails and one that is nearly perfect
    have a bounded part in a mean over songs. −10 dB is 0, 0 dB 78.8, and 10 dB or more 100.
    Source: ``k_sdr`` in ``utils/metrics.py`` of R. Solovyev's Music-Source-Separation-Training, as
    its package `msst` 0.1.0 has it. Raises ``ValueError`` as ``global_sdr`` does.
    """
    sums = _sums_of_one(reference, estimate)
    return match_type(k_sdr_of(sums).squeeze(-1), reference, estimate)


def si_sdr(reference: Signals, estimate: Signals) -> Number:
    """Return the scale-invariant SDR of ``estimate`` to ``reference``, both ``(…, C, T)``, in dB.

    ``10 log10(Σ (αs)² / Σ (αs − ŝ)²)`` with ``α = Σ sŝ / Σ s²`` over all channels and samples
    (J. Le Roux et al., "SDR — half-baked or well done?", ICASSP 2019). ``inf`` for a scaled copy;
    ``-inf`` for an estimate orthogonal to the reference, such as silence; ``nan`` for a silent
    reference. Raises ``ValueError`` as ``global_sdr`` does.
    """
    sums = _sums_of_one(reference, estimate)
    return match_type(si_sdr_of(Parts.of(sums)).squeeze(-1), reference, estimate)


def si_sir(references: Signals, estimates: Signals) -> Number:
    """Return the scale-invariant SIR ``(…, S)`` of ``(…, S, C, T)``, dB: target to interference.

    Interference is what a sum of all references, each times one factor, explains of an estimate
    beyond its own reference (Le Roux et al., as ``si_sdr``). ``inf`` without any, as with a single
    source; ``-inf`` for silent estimates; ``nan`` for silent references. Raises ``ValueError`` as
    ``global_sdr`` does.
    """
    sums = Sums.of(*check_sources(references, estimates))
    return match_type(si_sir_of(Parts.of(sums)), references, estimates)


def si_sar(references: Signals, estimates: Signals) -> Number:
    """Return the scale-invariant SAR ``(…, S)`` of ``(…, S, C, T)``, dB: target to artifacts.

    Artifacts are what no sum of the references, each times one factor, explains. Special values and
    errors are those of ``si_sir``.
    """
    sums = Sums.of(*check_sources(references, estimates))
    return match_type(si_sar_of(Parts.of(sums)), references, estimates)


def _sums_of_one(reference: Signals, estimate: Signals) -> Sums:
    """Return the sums of signals ``(…, C, T)`` as those of a single source."""
    return Sums.of(*(signals.unsqueeze(-3) for signals in check_pair(reference, estimate)))


def l1(reference: Signals, estimate: Signals) -> Number:
    """Return the mean absolute difference ``(…)`` of signals ``(…, C, T)``, full scale 1.

    Lower is better. Raises ``ValueError`` as ``global_sdr`` does.
    """
    sums = _sums_of_one(reference, estimate)
    return match_type(l1_of(sums).squeeze(-1), reference, estimate)


@dataclass(frozen=True, slots=True)
class Projections:
    """Ratios ``(…, S)`` in dB of the parts of BSS Eval without filters."""

    sdr: Number
    sir: Number
    sar: Number


def projections(references: Signals, estimates: Signals) -> Projections:
    """Return SDR, SIR and SAR ``(…, S)`` of ``(…, S, C, T)``, dB, by projection without filters.

    Target, interference and artifacts are those of Vincent, Gribonval and Févotte ("Performance
    measurement in blind audio source separation", IEEE TASLP 14, 2006) with gains as the only
    filters. SDR and SIR equal ``si_sdr`` and ``si_sir``; SAR is the ratio of target *and*
    interference to artifacts. Special values and errors are those of ``si_sir``.
    """
    parts = Parts.of(Sums.of(*check_sources(references, estimates)))
    explained = _decibels(parts.target + parts.interference, parts.artifacts)
    scores = (si_sdr_of(parts), si_sir_of(parts), explained)
    return Projections(*(match_type(score, references, estimates) for score in scores))


def global_sdr_of(sums: Sums) -> Tensor:
    """Return ``global_sdr`` ``(…, S)`` from ``sums``."""
    return 10 * torch.log10((sums.truth + EPSILON) / (sums.error + EPSILON))


def k_sdr_of(sums: Sums) -> Tensor:
    """Return ``k_sdr`` ``(…, S)`` from ``sums``."""
    sdr = 10 * torch.log10((sums.truth + TRAINER_EPSILON) / (sums.error + TRAINER_EPSILON))
    return 100 * torch.log1p(sdr.clamp(-LIMIT, LIMIT) + LIMIT) / math.log1p(2 * LIMIT)


def l1_of(sums: Sums) -> Tensor:
    """Return ``l1`` ``(…, S)`` from ``sums``."""
    return sums.absolute / sums.samples


def si_sdr_of(parts: Parts) -> Tensor:
    """Return ``si_sdr`` ``(…, S)`` from ``parts``."""
    return _decibels(parts.target, parts.interference + parts.artifacts)


def si_sir_of(parts: Parts) -> Tensor:
    """Return ``si_sir`` ``(…, S)`` from ``parts``."""
    return _decibels(parts.target, parts.interference)


def si_sar_of(parts: Parts) -> Tensor:
    """Return ``si_sar`` ``(…, S)`` from ``parts``."""
    return _decibels(parts.target, parts.artifacts)


def _decibels(signal: Tensor, noise: Tensor) -> Tensor:
    """Return the ratio in dB: ``-inf`` without signal, else ``inf`` without noise; NaN stays."""
    ratio = 10 * torch.log10(signal / torch.where(noise == 0, 1.0, noise))
    return torch.where((noise == 0) & (signal > 0), math.inf, ratio)


def _difference(total: Tensor, part: Tensor, scale: Tensor | None = None) -> Tensor:
    """Return ``total − part``, or 0 within the rounding error of ``scale`` (or ``total``)."""
    difference = total - part
    noise = ROUNDING * (total if scale is None else scale)
    return torch.where(difference.abs() <= noise, 0.0, difference)
