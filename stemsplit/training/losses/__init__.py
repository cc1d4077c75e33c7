"""Losses: l1 and mse of waveforms and magnitudes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from stemsplit.errors import UsageError
from stemsplit.models.base import SeparationModel

NAMES = ("l1", "mse", "magnitude")
KEYS = ("name", "weight", "stems", "distance")


class Loss(nn.Module):
    """A weighted sum of losses."""

    def __init__(self, settings: Sequence[Mapping[str, Any]], model: SeparationModel) -> None:
        super().__init__()
        self._settings = settings
        self._sources = model.sources

    def forward(
        self, outputs: Mapping[str, Tensor], sources: Tensor, mix: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the total and each term, of outputs and the true sources ``(B, S, C, T)``."""
        terms = {each["name"]: self._term(each, outputs, sources) for each in self._settings}
        weights = [each.get("weight", 1.0) for each in self._settings]
        total = sum(
            (w * term for w, term in zip(weights, terms.values(), strict=True)), torch.zeros(())
        )
        return total, terms

    def _term(
        self, each: Mapping[str, Any], outputs: Mapping[str, Tensor], truth: Tensor
    ) -> Tensor:
        guess = outputs["sources"].float()
        if each["name"].startswith("magnitude"):
            guess, truth = _magnitudes(guess), _magnitudes(truth)
        error = (guess - truth).abs()
        squared = each["name"] == "mse" or each.get("distance") == "l2"
        error = error.square() if squared else error
        per_source = error.transpose(0, 1).flatten(1).mean(1)
        weights = each.get("stems")
        if weights is None:
            return per_source.mean()
        scale = per_source.new_tensor([weights.get(name, 0.0) for name in self._sources])
        return (per_source * scale).sum() / scale.sum()


def _magnitudes(wave: Tensor) -> Tensor:
    window = torch.hann_window(512, device=wave.device)
    flat = torch.stft(wave.flatten(0, -2), 512, window=window, return_complex=True)
    return flat.abs().view(*wave.shape[:-1], *flat.shape[-2:])


def make_loss(settings: Sequence[Mapping[str, Any]], model: SeparationModel) -> Loss:
    """Return the loss; raises ``UsageError`` for an unknown name or key."""
    for each in settings:
        if each.get("name") not in NAMES:
            raise UsageError(
                f"unknown loss {each.get('name')!r}", hint=f"known: {', '.join(NAMES)}"
            )
        for key in each:
            if key not in KEYS:
                raise UsageError(f"loss {each['name']}: unknown key {key}")
    return Loss(settings, model)
