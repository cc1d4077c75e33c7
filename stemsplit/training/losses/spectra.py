"""Losses of the magnitudes that a network with masks estimates, in its own spectrogram.

Axes: ``B`` batch, ``S`` sources, ``C`` channels, ``T`` samples, ``F`` bins, ``N`` frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from stemsplit.models.base import SeparationModel
from stemsplit.training.losses.base import PairedConfig, PairedTerm
from stemsplit.training.losses.settings import Above0
from stemsplit.training.losses.transform import Transform, transform_of


@dataclass(frozen=True, slots=True, kw_only=True)
class MagnitudeConfig(PairedConfig):
    """Settings of a comparison of magnitudes."""

    distance: Literal["l1", "l2"] = "l1"


class Magnitude(PairedTerm):
    """Magnitude spectrum approximation: the difference to the magnitudes of the sources.

    "l1", the mean absolute difference, is the loss of the U-Net and Spleeter; "l2", the mean
    squared difference, that of Open-Unmix and MMDenseNet.
    """

    Config = MagnitudeConfig

    def __init__(self, config: MagnitudeConfig, model: SeparationModel) -> None:
        super().__init__(config, model)
        self.power = {"l1": 1, "l2": 2}[config.distance]
        self.transform: Transform = transform_of(model)

    def pair(
        self, outputs: Mapping[str, Tensor], sources: Tensor, mix: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return estimated and true magnitudes ``(B, S, C, F, N)``, of the bins of the masks."""
        estimates = outputs["magnitudes"]
        return estimates, self.targets(sources, mix, estimates.shape[-2])

    def targets(self, sources: Tensor, mix: Tensor, bins: int) -> Tensor:
        """Return what the magnitudes should be ``(B, S, C, F, N)``; F = ``bins``."""
        return self.transform(sources)[..., :bins, :].abs()

    def distance(self, estimates: Tensor, truth: Tensor) -> Tensor:
        """Return the loss ``(B, S)`` of magnitudes ``(B, S, C, F, N)``."""
        return (estimates - truth).abs().pow(self.power).mean((-3, -2, -1))


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseSensitiveConfig(MagnitudeConfig):
    """Settings of the truncated phase-sensitive approximation."""

    #: The largest target, in magnitudes of the mixture: what the masks can reach.
    limit: Above0 = 1.0


class PhaseSensitive(Magnitude):
    """Truncated phase-sensitive approximation: the part of a source in phase with the mixture.

    The target is ``|S| cos(phase of S - phase of X)``, between 0 and ``limit`` times ``|X|``.
    H. Erdogan, J. R. Hershey, S. Watanabe, J. Le Roux, "Phase-sensitive and recognition-boosted
    speech separation using deep recurrent neural networks", ICASSP 2015; Z.-Q. Wang, J. Le Roux,
    J. R. Hershey, "Alternative objective functions for deep clustering", ICASSP 2018.
    """

    Config = PhaseSensitiveConfig

    def __init__(self, config: PhaseSensitiveConfig, model: SeparationModel) -> None:
        super().__init__(config, model)
        self.limit = config.limit

    def targets(self, sources: Tensor, mix: Tensor, bins: int) -> Tensor:
        """Return what the magnitudes should be ``(B, S, C, F, N)``; F = ``bins``."""
        mixture = self.transform(mix)[:, None, :, :bins]
        spectra = self.transform(sources)[..., :bins, :]
        # torch.sgn is 0 where the mixture is silent.
        in_phase = (spectra * torch.sgn(mixture).conj()).real
        return torch.minimum(in_phase.clamp(min=0), self.limit * mixture.abs())
