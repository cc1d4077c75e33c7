"""Fit the filters of BSS Eval, and score pieces of a song from their correlations only.

The energy of a filtered piece is a sum of its correlations, weighted by those of the filter, so
that no signal needs to be filtered. Axes: ``A`` channels of all references, ``L`` lags, ``S``
sources, ``C`` channels.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from stemsplit.evaluation import toeplitz

#: Fractions of the energy of each channel to add to it, tried in turn until there is a solution, if
#: channels are identical (a mono stem) or bands are empty. The first is the rounding of the sums.
REGULARISATION = (1e-16, 1e-15, 1e-14, 1e-13, 1e-12, 1e-10, 1e-8)
#: `museval` adds this to the energy of each channel. Without it, the ISR of a nearly silent stem
#: changes by 0.1 dB.
RIDGE = 2.0**-52
#: Relative rounding error of sums of products, used to test whether results depend on rounding.
ROUNDING = 1e-15


class Distortion:
    """Filters fitted to a song, which score pieces of it."""

    def __init__(self, joint: Tensor, own: Tensor) -> None:
        """Take filters ``(L, A, S, C)`` for the channels of each estimate.

        Those of ``joint`` use all references, those of ``own`` only that of the same source (the
        others are 0).
        """
        self._joint, self._own = joint, own
        lags, inputs, *_ = joint.shape
        nothing = torch.zeros_like(own)
        nothing.view(lags, inputs, inputs)[0].diagonal().fill_(1.0)
        # Each energy below is that of the references filtered by one of these.
        filters = (own, own - nothing, joint - own, joint)
        self._weights = torch.stack([_weigh(filtering) for filtering in filters])

    def measure(self, correlations: Tensor, energies: Tensor) -> Tensor:
        """Return SDR, ISR, SIR, SAR, and the SDR that allows filters, ``(5, S)``, dB.

        ``correlations`` ``(L, A, 2·A)`` are those of the references and estimates of a piece,
        ``energies`` ``(3, S)`` those of its references, estimates and errors.
        """
        truth, guess, error = energies
        inputs = correlations.shape[1]
        gram = correlations[..., :inputs].flatten()
        # Rounding errors may make them negative.
        allowed, spatial, interference, explained = (self._weights @ gram).clamp(min=0)
        across = correlations[..., inputs:].reshape(self._joint.shape)
        artifacts = guess - 2 * (self._joint * across).sum((0, 1, 3)) + explained
        unfiltered = guess - 2 * (self._own * across).sum((0, 1, 3)) + allowed
        signals = torch.stack([truth, truth, allowed, explained, allowed])
        noises = torch.stack([error, spatial, interference, artifacts, unfiltered])
        return _decibels(signals, noises)


def _decibels(signals: Tensor, noises: Tensor) -> Tensor:
    """Return energy ratios in dB; ``inf`` if the noise is 0, or negative due to rounding."""
    noises = noises.clamp(min=0)
    return torch.where(noises == 0, math.inf, 10 * torch.log10(signals / noises))


def fit(correlations: Tensor, sources: int, channels: int) -> tuple[Distortion, Distortion]:
    """Return the least-squares filters, and those for differently rounded sums.

    ``correlations`` ``(L, A, 2·A)`` of a whole song are those of the delayed references with the
    references and the estimates. Scores that differ between the two depend on rounding.
    """
    lags, inputs, _ = correlations.shape
    energies = correlations[0, :, :inputs].diagonal()
    scale = torch.where(energies > 0, energies, 1.0).rsqrt()
    # Scale each channel to energy 1: otherwise least squares would ignore the quiet ones.
    gram = correlations[..., :inputs] * scale[:, None] * scale
    gram[0] += torch.diag(torch.where(energies > 0, RIDGE * scale**2, 1.0))
    right = correlations[..., inputs:] * scale[:, None]
    noise = torch.randn(right.shape, generator=_seeded(), dtype=torch.float64)
    right = torch.cat([right, noise], -1)
    joint = _solve(gram.mT[None], right[None])[0]
    # With one source both systems are equal: no interference, not even from rounding.
    own = joint if sources == 1 else _solve_alone(gram, right, channels)
    shape = (lags, inputs, sources, channels)
    pairs = (
        [(each * scale[:, None]).view(shape) for each in (filters, filters + ROUNDING * shift)]
        for filters, shift in (_split_noise(joint), _split_noise(own))
    )
    found, moved = zip(*pairs, strict=True)
    return Distortion(*found), Distortion(*moved)


def _split_noise(solution: Tensor) -> tuple[Tensor, Tensor]:
    """Return the filters ``(L, A, A)`` of a solution ``(L, A, 2·A)``, and their change by noise."""
    filters, noise = solution.chunk(2, -1)
    return filters, filters.square().sum((0, 1)).sqrt() * noise


def _solve_alone(gram: Tensor, right: Tensor, channels: int) -> Tensor:
    """Return the filters ``(L, A, R)`` that use only the reference of the same source."""
    inputs = gram.shape[-1]
    parts = [slice(start, start + channels) for start in range(0, inputs, channels)]
    blocks = torch.stack([gram[:, part, part].mT for part in parts])
    columns = right.reshape(len(right), inputs, -1, inputs)  # estimates, then noise
    wanted = torch.stack([columns[:, part, :, part].flatten(2) for part in parts])
    own = _solve(blocks, wanted).view(*wanted.shape[:3], -1, channels)
    filters = torch.zeros_like(columns)
    for part, solution in zip(parts, own, strict=True):
        filters[:, part, :, part] = solution
    return filters.flatten(2)


def _solve(blocks: Tensor, right: Tensor) -> Tensor:
    """Return the result of ``toeplitz.solve`` with the least regularisation that suffices."""
    for share in REGULARISATION:
        regular = blocks.clone()
        regular[:, 0].diagonal(dim1=1, dim2=2).add_(share)
        try:
            return toeplitz.solve(regular, right)
        except RuntimeError as error:  # LinAlgError: not positive definite
            failure = error
    raise failure


def _weigh(filters: Tensor) -> Tensor:
    """Return how correlations ``(L·A·A)`` add up to energies after ``filters`` ``(L, A, S, C)``.

    The result is ``(S, L·A·A)``: the correlations of the filters, doubled for all lags except 0,
    because correlations of signals are symmetric in the lag.
    """
    lags = filters.shape[0]
    spectra = torch.fft.rfft(filters, 2 * lags, dim=0).permute(0, 2, 1, 3)  # (F, S, A, C)
    weights: Tensor = torch.fft.irfft(spectra @ spectra.mH, 2 * lags, dim=0)[:lags]
    weights[1:] *= 2
    return weights.movedim(1, 0).flatten(1)


def _seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)
