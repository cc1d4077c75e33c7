"""Fit the filters of BSS Eval, and score a piece of a song from its correlations alone.

The energy of a filtered piece is a sum of the piece's correlations, weighted by those of the
filter, so that nothing needs to be filtered. Letters of shapes: A channels of all references, L
lags.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from stemsplit.evaluation import toeplitz

#: Shares of the energy of each channel to add to it until there is a solution, where channels are
#: copies of each other (a mono stem) or bands are empty. The first is the rounding of the sums.
REGULARISATION = (1e-16, 1e-15, 1e-14, 1e-13, 1e-12, 1e-10, 1e-8)
#: `museval` adds this to the energy of each channel. It matters for a stem that is nearly silent,
#: whose ISR changes by a tenth of a decibel without it.
RIDGE = 2.0**-52
#: Relative rounding error of sums of products, with which results are tested.
ROUNDING = 1e-15


class Distortion:
    """Filters, and the scores of pieces of the song that they were fitted to."""

    def __init__(self, joint: Tensor, own: Tensor) -> None:
        """Both are ``(L, A, S, C)``, for the channels of each estimate: ``joint`` from all
        references, ``own`` from that of the same source (0 for others).
        """
        self._joint, self._own = joint, own
        lags, inputs, *_ = joint.shape
        nothing = torch.zeros_like(own)
        nothing.view(lags, inputs, inputs)[0].diagonal().fill_(1.0)
        # Their energies follow from those of the references filtered by each of these.
        filters = (own, own - nothing, joint - own, joint)
        self._weights = torch.stack([_weigh(filtering) for filtering in filters])

    def measure(self, correlations: Tensor, energies: Tensor) -> Tensor:
        """Return SDR, ISR, SIR, SAR, and the SDR that allows filters, ``(5, S)``, dB.

        ``correlations`` ``(L, A, 2·A)`` and ``energies`` ``(3, S)`` are those of the references,
        estimates and errors of a piece.
        """
        truth, guess, error = energies
        inputs = correlations.shape[1]
        gram = correlations[..., :inputs].flatten()
        # Rounding may make them negative.
        allowed, spatial, interference, explained = (self._weights @ gram).clamp(min=0)
        across = correlations[..., inputs:].reshape(self._joint.shape)
        artifacts = guess - 2 * (self._joint * across).sum((0, 1, 3)) + explained
        unfiltered = guess - 2 * (self._own * across).sum((0, 1, 3)) + allowed
        signals = torch.stack([truth, truth, allowed, explained, allowed])
        noises = torch.stack([error, spatial, interference, artifacts, unfiltered])
        return _decibels(signals, noises)


def _decibels(signals: Tensor, noises: Tensor) -> Tensor:
    """Return ratios of energies in dB; ``inf`` without noise, which rounding may make negative."""
    noises = noises.clamp(min=0)
    return torch.where(noises == 0, math.inf, 10 * torch.log10(signals / noises))


def fit(correlations: Tensor, sources: int, channels: int) -> tuple[Distortion, Distortion]:
    """Return the filters that fit best, and those that fit best with sums rounded differently.

    ``correlations`` ``(L, A, 2·A)`` of a whole song are those of references, delayed, with
    references and with estimates. Where the scores of the two differ, rounding decides them.
    """
    lags, inputs, _ = correlations.shape
    energies = correlations[0, :, :inputs].diagonal()
    scale = torch.where(energies > 0, energies, 1.0).rsqrt()
    # Each channel scaled to energy 1: least squares would ignore the quiet ones.
    gram = correlations[..., :inputs] * scale[:, None] * scale
    gram[0] += torch.diag(torch.where(energies > 0, RIDGE * scale**2, 1.0))
    right = correlations[..., inputs:] * scale[:, None]
    noise = torch.randn(right.shape, generator=_seeded(), dtype=torch.float64)
    right = torch.cat([right, noise], -1)
    joint = _solve(gram.mT[None], right[None])[0]
    # For one source the systems are the same: no interference, not even by rounding.
    own = joint if sources == 1 else _solve_alone(gram, right, channels)
    shape = (lags, inputs, sources, channels)
    pairs = (
        [(each * scale[:, None]).view(shape) for each in (filters, filters + ROUNDING * shift)]
        for filters, shift in (_split_noise(joint), _split_noise(own))
    )
    found, moved = zip(*pairs, strict=True)
    return Distortion(*found), Distortion(*moved)


def _split_noise(solution: Tensor) -> tuple[Tensor, Tensor]:
    """Return the filters ``(L, A, A)`` of a solution ``(L, A, 2·A)``, and how noise moves them."""
    filters, noise = solution.chunk(2, -1)
    return filters, filters.square().sum((0, 1)).sqrt() * noise


def _solve_alone(gram: Tensor, right: Tensor, channels: int) -> Tensor:
    """Return the filters ``(L, A, R)`` from each source's own reference only."""
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
    """Return the result of ``toeplitz.solve`` with the least regularisation that has a solution."""
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

    The result is ``(S, L·A·A)``: the correlations of the filters, doubled for all lags but 0,
    because those of signals are the same at negative lags.
    """
    lags = filters.shape[0]
    spectra = torch.fft.rfft(filters, 2 * lags, dim=0).permute(0, 2, 1, 3)  # (F, S, A, C)
    weights: Tensor = torch.fft.irfft(spectra @ spectra.mH, 2 * lags, dim=0)[:lags]
    weights[1:] *= 2
    return weights.movedim(1, 0).flatten(1)


def _seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)
