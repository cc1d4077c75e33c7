"""The interface of a term of a loss, and what terms that compare pairs have in common.

Axes: ``B`` batch, ``S`` sources, ``C`` channels, ``T`` samples, ``F`` bins, ``N`` frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from stemsplit.errors import UsageError
from stemsplit.models.base import SeparationModel
from stemsplit.models.deep_clustering import MOST_SOURCES, find_order
from stemsplit.training.losses.settings import TermConfig, UpTo1


class Term(nn.Module):
    """One term of a loss. A subclass has a `TermConfig` as ``Config`` and defines `losses`."""

    Config: ClassVar[type[Any]] = TermConfig
    source_weights: Tensor

    def __init__(self, config: TermConfig, model: SeparationModel) -> None:
        """Raises ``UsageError`` if ``config`` does not suit ``model``."""
        super().__init__()
        self.weight = config.weight
        weights = torch.tensor(_weights(config.stems, model.sources))
        self.register_buffer("source_weights", weights / weights.sum(), persistent=False)

    def losses(self, outputs: Mapping[str, Tensor], sources: Tensor, mix: Tensor) -> Tensor:
        """Return the loss ``(S,)`` of each source, or one ``()`` that concerns all.

        ``outputs`` are those of ``training_outputs``, ``sources`` ``(B, S, C, T)`` the true ones,
        ``mix`` is ``(B, C, T)``.
        """
        raise NotImplementedError

    def forward(self, outputs: Mapping[str, Tensor], sources: Tensor, mix: Tensor) -> Tensor:
        """Return the loss ``()``: the weighted mean over the sources."""
        losses = self.losses(outputs, sources, mix)
        return losses if losses.dim() == 0 else losses @ self.source_weights.to(losses.dtype)


def _weights(stems: Mapping[str, float], sources: tuple[str, ...]) -> list[float]:
    require_sources(stems, sources)
    return [stems.get(source, 0.0) if stems else 1.0 for source in sources]


def require_sources(names: Mapping[str, float] | tuple[str, ...], sources: tuple[str, ...]) -> None:
    """Raise ``UsageError`` unless all ``names`` are ``sources`` of the network."""
    for name in names:
        if name not in sources:
            hint = f"its stems are {', '.join(sources)}"
            raise UsageError(f"the network has no stem {name!r}", hint=hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedConfig(TermConfig):
    """Settings of a term that compares each estimate with a source."""

    #: Whether the order of the sources is free: each item counts with the order that is best for
    #: it. D. Yu et al., "Permutation invariant training of deep models for speaker-independent
    #: multi-talker speech separation", ICASSP 2017.
    permuted: bool = False
    #: Which part of a batch counts, the one with the smallest losses: the rest may have wrong
    #: stems. The community's trainer has 0.95 as its default (``masked_loss``).
    quantile: UpTo1 = 1.0


class PairedTerm(Term):
    """Compares each estimate with its source; a subclass defines `distance`."""

    Config = PairedConfig

    def __init__(self, config: PairedConfig, model: SeparationModel) -> None:
        super().__init__(config, model)
        self.permuted = config.permuted
        self.quantile = config.quantile
        if self.permuted and len(model.sources) > MOST_SOURCES:
            raise UsageError(f"permuted: at most {MOST_SOURCES} sources, not {len(model.sources)}")

    def pair(
        self, outputs: Mapping[str, Tensor], sources: Tensor, mix: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return estimates and truth, both ``(B, S, ...)``: by default the waves."""
        return outputs["sources"], sources

    def distance(self, estimates: Tensor, truth: Tensor) -> Tensor:
        """Return the distance ``(B, S)`` of ``estimates`` to ``truth``, both ``(B, S, ...)``."""
        raise NotImplementedError

    def losses(self, outputs: Mapping[str, Tensor], sources: Tensor, mix: Tensor) -> Tensor:
        """Return the loss ``(S,)`` of each source."""
        estimates, truth = self.pair(outputs, sources, mix)
        if self.permuted:
            items = best_order(self.all_distances(estimates, truth))
        else:
            items = self.distance(estimates, truth)
        return trimmed_mean(items.mT, self.quantile)

    def all_distances(self, estimates: Tensor, truth: Tensor) -> Tensor:
        """Return the distance ``(B, S, S)`` of each estimate (first S) to each source."""
        rows = [
            self.distance(one.expand_as(truth), truth) for one in torch.split(estimates, 1, dim=1)
        ]
        return torch.stack(rows, dim=1)


def best_order(costs: Tensor) -> Tensor:
    """Return the cost ``(B, S)`` of each source in the order of estimates with the lowest sum.

    ``costs`` ``(B, S, S)`` are those of each estimate (first S) for each source.
    """
    order = find_order(costs.detach())
    return costs.gather(1, order[:, None])[:, 0]


def trimmed_mean(values: Tensor, quantile: float) -> Tensor:
    """Return the mean ``(...)`` of ``values`` ``(..., n)``, where those above ``quantile`` count 0.

    The quantile lies between values in proportion, as in `torch.quantile`, whose length is limited.
    """
    if quantile == 1:
        return values.mean(-1)
    place = quantile * (values.shape[-1] - 1)
    below = int(place)
    ranked = values.detach().sort(dim=-1).values
    above = ranked[..., min(below + 1, values.shape[-1] - 1)]
    limit = torch.lerp(ranked[..., below], above, place - below)
    return torch.where(values <= limit[..., None], values, 0).mean(-1)
