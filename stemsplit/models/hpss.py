"""Harmonic/percussive separation: sustained sound is harmonic, broadband sound is percussive.

D. Fitzgerald, "Harmonic/percussive separation using median filtering", DAFx 2010. In a spectrogram,
a note is a line along time and a drum stroke a line along frequency; a median along a line keeps
it, and removes lines that cross it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from stemsplit.models.classical import (
    SpectrogramConfig,
    SpectrogramSeparator,
    running_median,
    shares,
)
from stemsplit.models.config import Count, FFTLength, Odd, TwoSources


@dataclass(frozen=True, slots=True, kw_only=True)
class HPSSConfig(SpectrogramConfig):
    """The values in section 3 of the paper: 4096 samples, hops of 1024, medians of 17."""

    sources: TwoSources = ("harmonic", "percussive")
    n_fft: FFTLength = 4096
    hop: Count = 1024
    harmonic_length: Odd = 17  # frames of the median along time: 0.4 s
    percussive_length: Odd = 17  # bins of the median along frequency: 180 Hz
    power: float = 2.0  # p of the soft masks


class HPSS(SpectrogramSeparator):
    """Masks from two medians of the magnitudes, by their shares of the power."""

    Config = HPSSConfig

    def __init__(self, config: HPSSConfig) -> None:
        super().__init__(config)
        self.settings = config

    @property
    def reach(self) -> tuple[int, int]:
        """How many frames before and after it a sample of the sources depends on, at most.

        That is half a median along time, and the windows to either side of a sample.
        """
        median = self.settings.harmonic_length // 2 * self.settings.hop
        farthest = min(self.segment, median + self.settings.n_fft)
        return farthest, farthest

    def masks(self, magnitudes: Tensor) -> Tensor:
        """Return the shares ``(B, 2, C, F, N)``, which sum to 1, of ``magnitudes`` (B, C, F, N)."""
        harmonic = running_median(magnitudes, self.settings.harmonic_length, -1)
        percussive = running_median(magnitudes, self.settings.percussive_length, -2)
        return shares(torch.stack([harmonic, percussive], dim=1), self.settings.power)
