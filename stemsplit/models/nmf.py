"""Non-negative matrix factorisation: a spectrogram as spectra times activations over time.

D. D. Lee, H. S. Seung, "Algorithms for non-negative matrix factorization", NIPS 2000, for the
updates; P. Smaragdis, J. C. Brown, "Non-negative matrix factorization for polyphonic music
transcription", WASPAA 2003, for music. The parts are grouped by shape: Fitzgerald's medians
(`hpss.py`) preserve the spectrum of a drum, and the activations of a note.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from stemsplit.models.classical import (
    SpectrogramConfig,
    SpectrogramSeparator,
    running_median,
    shares,
)
from stemsplit.models.config import Count, Iterations, Odd, TwoSources, at_least

#: Added to magnitudes with a mean of 1.
FLOOR = 1e-9
#: Exponent of the masks, as in a Wiener filter: the power of the groups adds up.
POWER = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NMFConfig(SpectrogramConfig):
    """Windows of 46 ms; enough parts for the notes and drums in a loop of music."""

    sources: TwoSources = ("harmonic", "percussive")
    parts: Count = 30  # K
    iterations: Annotated[Iterations, at_least(1)] = 100
    seed: int = 0  # of what the updates start from
    #: Frames (0.2 s) and bins (370 Hz) of the medians that distinguish notes from drums.
    median: Odd = 17


class NMF(SpectrogramSeparator):
    """Parts by multiplicative updates for the Kullback-Leibler divergence, in two groups."""

    Config = NMFConfig

    def __init__(self, config: NMFConfig) -> None:
        super().__init__(config)
        self.settings = config

    def masks(self, magnitudes: Tensor) -> Tensor:
        """Return the shares ``(B, 2, C, F, N)``, which sum to 1, of ``magnitudes`` (B, C, F, N)."""
        return torch.stack([self._masks_of(song) for song in magnitudes])

    def _masks_of(self, magnitudes: Tensor) -> Tensor:
        """Return the shares ``(2, C, F, N)`` of ``magnitudes`` ``(C, F, N)``.

        A part has a spectrum per channel and common activations, so that its position is fixed.
        """
        spectra, courses = factorise(
            magnitudes.flatten(0, 1),
            self.settings.parts,
            iterations=self.settings.iterations,
            seed=self.settings.seed,
        )
        spectra = spectra.view(*magnitudes.shape[:2], -1)
        percussive = is_percussive(spectra, courses, self.settings.median).to(spectra.dtype)
        groups = [(spectra * group) @ courses for group in (1 - percussive, percussive)]
        return shares(torch.stack(groups)[None], POWER)[0]


def factorise(
    magnitudes: Tensor, parts: int, *, iterations: int, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Return spectra ``(F, K)`` and activations ``(K, N)``, with a product near ``magnitudes``.

    No update increases the Kullback-Leibler divergence from ``magnitudes`` ``(F, N)``. The same
    ``seed`` results in the same parts, on any device.
    """
    loudness = magnitudes.mean().clamp(min=torch.finfo(magnitudes.dtype).tiny)
    target = magnitudes / loudness + FLOOR
    generator = torch.Generator().manual_seed(seed)
    bins, frames = magnitudes.shape
    spectra = (torch.rand(bins, parts, generator=generator) + FLOOR).to(target)
    courses = (torch.rand(parts, frames, generator=generator) + FLOOR).to(target)
    for _ in range(iterations):
        ratio = target / (spectra @ courses + FLOOR)
        courses = courses * (spectra.T @ ratio) / (spectra.sum(0)[:, None] + FLOOR)
        ratio = target / (spectra @ courses + FLOOR)
        spectra = spectra * (ratio @ courses.T) / (courses.sum(1) + FLOOR)
    return spectra, courses * loudness


def is_percussive(spectra: Tensor, courses: Tensor, length: int) -> Tensor:
    """Return which parts ``(K,)`` are drums: a median preserves more of the spectrum than of time.

    What a median of ``length`` preserves is measured as a share of the power of ``spectra``
    ``(C, F, K)`` along frequency and of ``courses`` ``(K, N)`` along time.
    """
    left = running_median(spectra, length, 1).square().sum((0, 1))
    broad = left / spectra.square().sum((0, 1))
    lasting = running_median(courses, length, 1).square().sum(1) / courses.square().sum(1)
    return broad > lasting
