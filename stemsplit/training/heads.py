"""Heads that learn other tasks beside the masks of a network, for training alone.

From what they learn, the layers below them learn what a voice or an instrument is: D. Stoller,
S. Ewert, S. Dixon, "Jointly detecting and separating singing voice: a multi-task approach", 2018;
Y.-N. Hung, A. Lerch, "Multitask learning for instrument activation aware music source separation",
ISMIR 2020; A. Jansson, R. Bittner, S. Ewert, T. Weyde, "Joint singing voice separation and F0
estimation with deep U-Net architectures", EUSIPCO 2019.

Axes: ``B`` batch, ``S`` sources, ``C`` channels, ``T`` samples, ``F`` bins, ``N`` frames, ``H``
values of a frame, ``K`` what a head estimates for a frame.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from stemsplit.errors import UsageError
from stemsplit.models.base import SeparationModel
from stemsplit.training.losses.stft import magnitude, spectrum

#: What a head is over: the features of a network, or the spectra of the sources it separated.
Basis: TypeAlias = Literal["features", "spectra"]

N_FFT = 2048  # samples of the Hann window, for the spectra of separated sources
HOP = 512


class Head(nn.Module):
    """Logits for each frame: two convolutions over time, with a ReLU between them."""

    def __init__(self, inputs: int, outputs: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(inputs, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv1d(width, outputs, 1),
        )

    def forward(self, frames: Tensor) -> Tensor:
        """Return the logits ``(B, K, N)`` of ``frames`` ``(B, H, N)``."""
        logits: Tensor = self.layers(frames)
        return logits


def width_of(basis: Basis, model: SeparationModel, sources: int) -> int:
    """Return H of what a head over ``basis`` of ``model`` gets, of ``sources`` separated sources.

    Raises ``UsageError`` if the network has no features.
    """
    if basis == "spectra":
        return sources * (N_FFT // 2 + 1)
    if not model.feature_width:
        raise UsageError(f"{type(model).__name__} has no features: use spectra")
    return model.feature_width


def separated_frames(separated: Tensor) -> Tensor:
    """Return the spectra ``(B, S F, N)`` of ``separated`` ``(B, S, C, T)``, on a log scale.

    Magnitudes of a sine of full scale become about 6, those of silence 0.
    """
    magnitudes = magnitude(spectrum(separated, N_FFT, HOP, N_FFT)).mean(2)
    return torch.log1p(magnitudes).flatten(1, 2)
