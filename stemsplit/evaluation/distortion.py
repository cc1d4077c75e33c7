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
    """The filters that fit references to estimates best over a whole song.

    ``correlations`` ``(L, A, 2·A)``: of references, delayed, with references and estimates.
    """

    def __init__(self, correlations: Tensor, sources: int, channels: int) -> None:
        self.sources, self.channels = sources, channels
        lags, inputs, _ = correlations.shape
        energies = correlations[0, :, :inputs].diagonal()
        scale = torch.where(energies > 0, energies, 1.0).rsqrt()
        # Each channel at energy 1, or the least squares would not see the quiet ones.
        gram = correlations[..., :inputs] * scale[:, None] * scale
        gram[0] += torch.diag(torch.where(energies > 0, RIDGE * scale**2, 1.0))
        right = correlations[..., inputs:] * scale[:, None]
        noise = torch.randn(right.shape, generator=_seeded(), dtype=torch.float64)
        joint, moved = _solve(gram.mT[None], torch.cat([right, noise], -1)[None])[0].chunk(2, -1)
        moved = joint + ROUNDING * joint.square().sum((0, 1)).sqrt() * moved
        # For one source it is the same system: no interference, not even by rounding.
        own = joint if sources == 1 else self._solve_alone(gram, right)
        shape = (lags, inputs, sources, channels)
        joint, moved, own = ((f * scale[:, None]).view(shape) for f in (joint, moved, own))
        nothing = torch.zeros_like(own)
        nothing.view(lags, inputs, inputs)[0].diagonal().fill_(1.0)
        self._joint, self._own = joint, own
        # Of the references filtered by each, energies will be asked for.
        filters = (own, own - nothing, joint - own, joint, moved - own)
        self._weights = torch.stack([_weigh(filtering) for filtering in filters])

    def measure(self, correlations: Tensor, energies: Tensor) -> Tensor:
        """Return SDR, ISR, SIR, SAR, the SDR that forgives filters and another SIR ``(6, S)``, dB.

        They are of a piece with ``correlations`` ``(L, A, 2·A)`` and ``energies`` ``(3, S)`` of its
        references, estimates and errors. The last row is what SIR would be if the sums over the
        song had been rounded otherwise.
        """
        truth, guess, error = energies
        inputs = self.sources * self.channels
        gram = correlations[..., :inputs].flatten()
        # Rounding may leave less than nothing.
        allowed, spatial, interference, explained, moved = (self._weights @ gram).clamp(min=0)
        across = correlations[..., inputs:].reshape(self._joint.shape)
        artifacts = guess - 2 * (self._joint * across).sum((0, 1, 3)) + explained
        unfiltered = guess - 2 * (self._own * across).sum((0, 1, 3)) + allowed
        signals = torch.stack([truth, truth, allowed, explained, allowed, allowed])
        noises = torch.stack([error, spatial, interference, artifacts, unfiltered, moved])
        noises = noises.clamp(min=0)
        return torch.where(noises == 0, math.inf, 10 * torch.log10(signals / noises))

    def _solve_alone(self, gram: Tensor, right: Tensor) -> Tensor:
        """Return the filters ``(L, A, A)`` from each source's own reference only."""
        size = self.channels
        parts = [slice(start, start + size) for start in range(0, self.sources * size, size)]
        blocks = torch.stack([gram[:, part, part].mT for part in parts])
        own = _solve(blocks, torch.stack([right[:, part, part] for part in parts]))
        filters = torch.zeros_like(right)
        for part, solution in zip(parts, own, strict=True):
            filters[:, part, part] = solution
        return filters


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
    waves at negative lags are the same numbers.
    """
    lags = filters.shape[0]
    spectra = torch.fft.rfft(filters, 2 * lags, dim=0).permute(0, 2, 1, 3)  # (F, S, A, C)
    weights: Tensor = torch.fft.irfft(spectra @ spectra.mH, 2 * lags, dim=0)[:lags]
    weights[1:] *= 2
    return weights.movedim(1, 0).flatten(1)


def _seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)
