"""The filters of BSS Eval, and what they say of a piece of a song from its correlations alone.

The energy of a filtered piece is a sum of the piece's correlations, weighted by the filter's own:
once those are known nothing is filtered. Letters of shapes: A channels of all references, L lags.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from stemsplit.evaluation import toeplitz

#: Shares of its energy that are added to each channel, the first that leaves a solution, where
#: channels are copies of each other (a mono stem) or nothing is in some band. The first is the
#: rounding of the sums.
REGULARISATION = (1e-16, 1e-15, 1e-14, 1e-13, 1e-12, 1e-10, 1e-8)
#: What `museval` adds to the energy of each channel. It counts where a stem is next to silent:
#: there ISR changes by a tenth of a decibel without it.
RIDGE = 2.0**-52
#: What rounding does to sums of products, as a share of them; the results are tried with it.
ROUNDING = 1e-15


class Distortion:
    """What filters say of pieces of the song that they were fitted to."""

    def __init__(self, joint: Tensor, own: Tensor) -> None:
        """Both are ``(L, A, S, C)``, for the channels of each estimate: from all references, and
        from that of the same source (0 for others).
        """
        self._joint, self._own = joint, own
        lags, inputs, *_ = joint.shape
        nothing = torch.zeros_like(own)
        nothing.view(lags, inputs, inputs)[0].diagonal().fill_(1.0)
        # Of the references filtered by each, energies will be asked for.
        filters = (own, own - nothing, joint - own, joint)
        self._weights = torch.stack([_weigh(filtering) for filtering in filters])

    def measure(self, correlations: Tensor, energies: Tensor) -> Tensor:
        """Return SDR, ISR, SIR, SAR and the SDR that forgives filters ``(5, S)``, dB.

        They are of a piece with ``correlations`` ``(L, A, 2·A)`` and ``energies`` ``(3, S)`` of its
        references, estimates and errors.
        """
        truth, guess, error = energies
        inputs = correlations.shape[1]
        gram = correlations[..., :inputs].flatten()
        # Rounding may leave less than nothing.
        allowed, spatial, interference, explained = (self._weights @ gram).clamp(min=0)
        across = correlations[..., inputs:].reshape(self._joint.shape)
        artifacts = guess - 2 * (self._joint * across).sum((0, 1, 3)) + explained
        unfiltered = guess - 2 * (self._own * across).sum((0, 1, 3)) + allowed
        signals = torch.stack([truth, truth, allowed, explained, allowed])
        noises = torch.stack([error, spatial, interference, artifacts, unfiltered])
        return decibels(signals, noises)


def decibels(signals: Tensor, noises: Tensor) -> Tensor:
    """Return the ratios of energies in dB, ``inf`` to nothing (or, by rounding, less)."""
    noises = noises.clamp(min=0)
    return torch.where(noises == 0, math.inf, 10 * torch.log10(signals / noises))


def fit(correlations: Tensor, sources: int, channels: int) -> tuple[Distortion, Distortion]:
    """Return what fits references to estimates best, and what would if sums were rounded otherwise.

    ``correlations`` ``(L, A, 2·A)`` over a whole song: of references, delayed, with references and
    estimates. Where the two are not one, the song does not say which filters are best.
    """
    lags, inputs, _ = correlations.shape
    energies = correlations[0, :, :inputs].diagonal()
    scale = torch.where(energies > 0, energies, 1.0).rsqrt()
    # Each channel at energy 1, or the least squares would not see the quiet ones.
    gram = correlations[..., :inputs] * scale[:, None] * scale
    gram[0] += torch.diag(torch.where(energies > 0, RIDGE * scale**2, 1.0))
    right = correlations[..., inputs:] * scale[:, None]
    noise = torch.randn(right.shape, generator=_seeded(), dtype=torch.float64)
    right = torch.cat([right, noise], -1)
    joint = _solve(gram.mT[None], right[None])[0]
    # For one source it is the same system: no interference, not even by rounding.
    own = joint if sources == 1 else _solve_alone(gram, right, channels)
    shape = (lags, inputs, sources, channels)
    pairs = (
        [(each * scale[:, None]).view(shape) for each in (filters, filters + ROUNDING * moved)]
        for filters, moved in (_rounded(joint), _rounded(own))
    )
    found, otherwise = zip(*pairs, strict=True)
    return Distortion(*found), Distortion(*otherwise)


def _rounded(solution: Tensor) -> tuple[Tensor, Tensor]:
    """Return filters ``(L, A, A)`` and where they move, of those ``(L, A, 2·A)`` with noise's."""
    filters, moved = solution.chunk(2, -1)
    return filters, filters.square().sum((0, 1)).sqrt() * moved


def _solve_alone(gram: Tensor, right: Tensor, channels: int) -> Tensor:
    """Return the filters ``(L, A, R)`` from each source's own reference only."""
    inputs = gram.shape[-1]
    parts = [slice(start, start + channels) for start in range(0, inputs, channels)]
    blocks = torch.stack([gram[:, part, part].mT for part in parts])
    columns = right.reshape(len(right), inputs, -1, inputs)  # estimates, and what else is solved
    wanted = torch.stack([columns[:, part, :, part].flatten(2) for part in parts])
    own = _solve(blocks, wanted).view(*wanted.shape[:3], -1, channels)
    filters = torch.zeros_like(columns)
    for part, solution in zip(parts, own, strict=True):
        filters[:, part, :, part] = solution
    return filters.flatten(2)


def _solve(blocks: Tensor, right: Tensor) -> Tensor:
    """Return what ``toeplitz.solve`` does for the least regularisation that has a solution."""
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

    The result is ``(S, L·A·A)``: correlations of the filters, twice for all lags but 0, as those of
    signals at negative lags are the same numbers.
    """
    lags = filters.shape[0]
    spectra = torch.fft.rfft(filters, 2 * lags, dim=0).permute(0, 2, 1, 3)  # (F, S, A, C)
    weights: Tensor = torch.fft.irfft(spectra @ spectra.mH, 2 * lags, dim=0)[:lags]
    weights[1:] *= 2
    return weights.movedim(1, 0).flatten(1)


def _seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)
