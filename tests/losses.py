"""What the tests of losses share: networks, signals, and the value of a loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from stemsplit.models import build
from stemsplit.models.base import SeparationModel
from stemsplit.training.losses import make_loss


@dataclass(frozen=True, kw_only=True)
class ShareConfig:
    sources: tuple[str, ...] = ("vocals", "drums")
    sample_rate: int = 8000
    channels: int = 2
    segment: int = 4000


class Shares(SeparationModel):
    """Gives each source the same share of the mixture."""

    Config = ShareConfig

    def forward(self, mix: Tensor) -> Tensor:
        return mix[:, None].expand(-1, len(self.sources), -1, -1) / len(self.sources)


def shares(*sources: str) -> Shares:
    return Shares(ShareConfig(sources=sources) if sources else ShareConfig())


def chimera(**config: Any) -> SeparationModel:
    """Return a small network that has masks, embeddings and features."""
    torch.manual_seed(0)
    small = {"n_fft": 32, "hop": 8, "hidden": 4, "layers": 1, "embedding": 4, "segment": 400}
    names = {"sources": ["vocals", "drums"], "sample_rate": 8192}
    return build("chimera:Chimera", {**names, **small, **config})


def draw(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return noise of ``shape``, the same every time."""
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)


def value(
    table: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    estimates: Tensor,
    sources: Tensor,
    model: SeparationModel | None = None,
    **outputs: Tensor,
) -> Tensor:
    """Return the loss of ``estimates`` ``(B, S, C, T)`` and other ``outputs`` of a network."""
    tables = [table] if isinstance(table, Mapping) else table
    loss = make_loss(tables, model or shares())
    total: Tensor = loss({"sources": estimates, **outputs}, sources, sources.sum(1))[0]
    return total
