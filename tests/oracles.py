"""The reference networks of demucs and torchaudio with the weights of ours, and layers in numpy."""

from __future__ import annotations

import importlib.util
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from stemsplit.models.htdemucs import HTDemucsConfig


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
        dconv_mode=config.dconv_mode,
    ).eval()


def torchaudio_models(name: str) -> Any:
    """Return the module ``name`` of torchaudio's models by its path.

    The package itself loads beside its own torch only, because of its compiled parts.
    """
    package = importlib.util.find_spec("torchaudio")
    if package is None or package.origin is None:
        pytest.skip("torchaudio is not installed")
    path = Path(package.origin).parent / "models" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"torchaudio_{name}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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


def sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-x)))


def lstm_in_numpy(w: dict[str, np.ndarray], x: np.ndarray, suffix: str) -> np.ndarray:
    """Return the states ``(N, hidden)`` of one direction of one layer; gates i, f, g, o."""
    if suffix.endswith("_reverse"):
        x = x[::-1]
    hidden = w[f"weight_hh_{suffix}"].shape[1]
    h = c = np.zeros(hidden)
    states = []
    for frame in x:
        gates = w[f"weight_ih_{suffix}"] @ frame + w[f"bias_ih_{suffix}"]
        gates = gates + w[f"weight_hh_{suffix}"] @ h + w[f"bias_hh_{suffix}"]
        i, f, g, o = np.split(gates, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        states.append(h)
    return np.array(states[::-1] if suffix.endswith("_reverse") else states)
