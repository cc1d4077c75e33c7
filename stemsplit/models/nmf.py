"""Non-negative matrix factorisation: a spectrogram as sounds times how loud each is when.

D. D. Lee, H. S. Seung, "Algorithms for non-negative matrix factorization", NIPS 2000, for the
updates; P. Smaragdis, J. C. Brown, "Non-negative matrix factorization for polyphonic music
transcription", WASPAA 2003, for music. The parts are grouped by their own shape: Fitzgerald's
medians (`hpss.py`) leave of the spectrum of a drum what they leave of the course of a note.
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

#: Beside magnitudes whose mean is 1.
FLOOR = 1e-9
#: Of the masks: Wiener's, for groups that add up in power.
POWER = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NMFConfig(SpectrogramConfig):
    """Windows of 46 ms; as many parts as a loop of music has notes and drums."""

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

        A part has a spectrum in each channel, and one course for all: that is its place.
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
    """Return spectra ``(F, K)`` and their courses ``(K, N)`` with a product near ``magnitudes``.

    Each update makes the Kullback-Leibler divergence from ``magnitudes`` ``(F, N)`` smaller, or
    leaves it. The same ``seed`` gives the same parts, on any device.
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
    """Return which parts ``(K,)`` are drums: more is left of the spectrum than of the course.

    What is left by a median of ``length`` is measured as a share of the power of ``spectra``
    ``(C, F, K)`` along frequency and of ``courses`` ``(K, N)`` along time.
    """
    left = running_median(spectra, length, 1).square().sum((0, 1))
    broad = left / spectra.square().sum((0, 1))
    lasting = running_median(courses, length, 1).square().sum(1) / courses.square().sum(1)
    return broad > lasting
