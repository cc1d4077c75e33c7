"""Exponential moving averages of the weights of a network.

Each new value has the weight 1 / n at first, so that the initial weights are forgotten: the average
is exact for few steps, as in Demucs' trainer.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from stemsplit.training.recipe import EmaSettings


class WeightAverage:
    """An average of the parameters and buffers of ``network``."""

    def __init__(self, network: nn.Module, settings: EmaSettings) -> None:
        self.settings = settings
        self.count = 0.0  # effective number of averaged values
        self.tensors = {name: value.clone() for name, value in _tensors(network).items()}

    @property
    def name(self) -> str:
        """A name for people, and for the keys of logs."""
        every = f" every {self.settings.every}" if self.settings.every > 1 else ""
        return f"average {self.settings.decay:g}{every}"

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Average in the weights of ``network`` after ``step`` steps, if it is time."""
        if step % self.settings.every:
            return
        self.count = self.count * self.settings.decay + 1
        share = 1 / self.count
        for name, value in _tensors(network).items():
            if value.is_floating_point():
                self.tensors[name].lerp_(value, share)
            else:
                self.tensors[name].copy_(value)

    def restore(self, tensors: Mapping[str, Tensor], count: float) -> None:
        """Set the average."""
        self.count = count
        for name, value in tensors.items():
            self.tensors[name].copy_(value)


def _tensors(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach() for name, value in network.state_dict().items()}
