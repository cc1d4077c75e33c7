"""The reference networks of the `demucs` package, with the configuration and weights of ours."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn

from stemsplit.models.htdemucs import HTDemucsConfig

#: Arguments of the published HTDemucs models that are not the reference class's own defaults.
PUBLISHED_HTDEMUCS = {"dconv_mode": 3}


def reference_htdemucs(config: HTDemucsConfig) -> Any:
    """Return demucs' HTDemucs of ``config``, in evaluation mode, with fresh weights."""
    from demucs.htdemucs import HTDemucs

    return HTDemucs(
        sources=list(config.sources),
        samplerate=config.sample_rate,
        audio_channels=config.audio_channels,
        segment=Fraction(config.segment, config.sample_rate),
        channels=config.channels,
        depth=config.depth,
        nfft=config.nfft,
        bottom_channels=config.bottom_channels,
        t_layers=config.t_layers,
        t_heads=config.t_heads,
        **PUBLISHED_HTDEMUCS,
    ).eval()


def randomise(model: nn.Module, seed: int = 0) -> None:
    """Give ``model`` weights that hide nothing: every branch, norm and bias counts.

    Fresh LayerScale values of 1e-3 and norm weights of 1 would hide an error of what they scale.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith(".scale"):
                weight.uniform_(0.15, 0.45, generator=generator)
            elif weight.dim() == 1 and name.endswith("weight"):
                weight.uniform_(0.5, 1.5, generator=generator)
            elif weight.dim() == 1:
                weight.normal_(0, 0.1, generator=generator)


def signal_to_difference(signal: Tensor, other: Tensor) -> float:
    """Return how far ``other`` is below ``signal``, in dB."""
    signal, other = signal.detach().double(), other.detach().double()
    return float(10 * torch.log10(signal.square().sum() / (signal - other).square().sum()))
