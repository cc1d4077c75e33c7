"""Losses of the waves themselves: L1, MSE, and ratios in dB.

Axes: ``B`` batch, ``S`` sources, ``C`` channels, ``T`` samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from stemsplit.models.base import SeparationModel
from stemsplit.training.losses.base import PairedConfig, PairedTerm, trimmed_mean

#: Energy that is added to both sides of a ratio.
ENERGY_FLOOR = 1e-8
#: Added to mean amplitudes, as by the authors of the L1 ratio.
AMPLITUDE_FLOOR = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferenceConfig(PairedConfig):
    """Settings of a loss that is a mean over samples."""

    #: Whether ``quantile`` leaves out samples instead of whole excerpts of the batch.
    samples: bool = False

    def validate(self) -> None:
        """Raise ``ValueError`` for values that are incompatible with each other."""
        PairedConfig.validate(self)
        if self.samples and self.permuted:
            raise ValueError("samples and permuted exclude each other")


class L1(PairedTerm):
    """The mean absolute difference of the waves, as Demucs and most of its successors have it."""

    Config = DifferenceConfig

    def __init__(self, config: DifferenceConfig, model: SeparationModel) -> None:
        super().__init__(config, model)
        self.samples = config.samples

    def difference(self, estimates: Tensor, truth: Tensor) -> Tensor:
        """Return the loss of each sample."""
        return (estimates - truth).abs()

    def distance(self, estimates: Tensor, truth: Tensor) -> Tensor:
        """Return the mean ``(B, S)`` over the samples of ``(B, S, C, T)``."""
        return self.difference(estimates, truth).mean((-2, -1))

    def losses(self, outputs: Mapping[str, Tensor], sources: Tensor, mix: Tensor) -> Tensor:
        """Return the loss ``(S,)`` of each source."""
        if not self.samples:
            return super().losses(outputs, sources, mix)
        values = self.difference(*self.pair(outputs, sources, mix))
        return trimmed_mean(values.transpose(0, 1).flatten(1), self.quantile)


class MSE(L1):
    """The mean squared difference of the waves: Wave-U-Net."""

    def difference(self, estimates: Tensor, truth: Tensor) -> Tensor:
        """Return the loss of each sample."""
        return (estimates - truth).square()


@dataclass(frozen=True, slots=True, kw_only=True)
class RatioConfig(PairedConfig):
    """Settings of a ratio in dB."""

    #: Whether each channel is shifted to a mean of 0 first: SI-SDR is then called SI-SNR.
    zero_mean: bool = False


class SISDR(PairedTerm):
    """Minus the scale-invariant signal-to-distortion ratio in dB, over all channels at once.

    J. Le Roux, S. Wisdom, H. Erdogan, J. R. Hershey, "SDR - half-baked or well done?", ICASSP 2019;
    with ``zero_mean`` the SI-SNR of Y. Luo, N. Mesgarani, "TasNet", ICASSP 2018. A silent source
    has a constant loss, and teaches nothing.
    """

    Config = RatioConfig

    def __init__(self, config: RatioConfig, model: SeparationModel) -> None:
        super().__init__(config, model)
        self.zero_mean = config.zero_mean

    def distance(self, estimates: Tensor, truth: Tensor) -> Tensor:
        """Return minus the ratio ``(B, S)`` in dB of waves ``(B, S, C, T)``."""
        if self.zero_mean:
            estimates = estimates - estimates.mean(-1, keepdim=True)
            truth = truth - truth.mean(-1, keepdim=True)
        target = self.scale(estimates, truth) * truth
        signal, error = _energy(target), _energy(estimates - target)
        return -10 * (signal / (error + ENERGY_FLOOR) + ENERGY_FLOOR).log10()

    def scale(self, estimates: Tensor, truth: Tensor) -> Tensor:
        """Return the factor ``(B, S, 1, 1)`` that brings ``truth`` closest to ``estimates``."""
        products = (estimates * truth).sum((-2, -1), keepdim=True)
        return products / (_energy(truth)[..., None, None] + ENERGY_FLOOR)


class SNR(SISDR):
    """Minus the signal-to-noise ratio in dB, which knows the right loudness."""

    def scale(self, estimates: Tensor, truth: Tensor) -> Tensor:
        """Return 1."""
        return torch.ones_like(truth[..., :1, :1])


class L1SNR(PairedTerm):
    """The ratio of mean absolute values in dB, of the difference to the source.

    K. N. Watcharasupat et al., "A Generalized Bandsplit Neural Network for Cinematic Audio Source
    Separation", 2023.
    """

    def distance(self, estimates: Tensor, truth: Tensor) -> Tensor:
        """Return the ratio ``(B, S)`` in dB of waves ``(B, S, C, T)``."""
        error, level = (each.abs().mean((-2, -1)) for each in (estimates - truth, truth))
        return 10 * ((error + AMPLITUDE_FLOOR) / (level + AMPLITUDE_FLOOR)).log10()


def _energy(waves: Tensor) -> Tensor:
    return waves.square().sum((-2, -1))
