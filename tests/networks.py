"""Networks under test: built without memory or random numbers, run without gradients on noise."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from stemsplit.models import build
from stemsplit.models.base import SeparationModel


def on_meta(architecture: str, **fields: Any) -> SeparationModel:
    """Return a network that has shapes and no weights."""
    with torch.device("meta"):
        return build(architecture, fields)


def waves(number: int, weight: Tensor) -> Tensor:
    """Return values of -1 to 1, as many as ``weight`` has, the same everywhere for a ``number``."""
    return torch.sin(1 + number + 1.7 * torch.arange(weight.numel()).double())


def noise(samples: int, batch: int = 1) -> Tensor:
    """Return noise ``(B, 2, T)``, the same every time."""
    return 0.1 * torch.randn(batch, 2, samples, generator=torch.Generator().manual_seed(1))


def run(model: nn.Module, *inputs: Tensor) -> Tensor:
    """Return what ``model`` makes of ``inputs``, without gradients."""
    with torch.inference_mode():
        output: Tensor = model(*inputs)
    return output
