"""A perceptual loss: the difference of what a frozen network makes of estimates and sources.

J. Johnson, A. Alahi, L. Fei-Fei, "Perceptual losses for real-time style transfer and
super-resolution", ECCV 2016; for separation of music A. Sahai, R. Weber, B. McWilliams,
"Spectrogram feature losses for music source separation", EUSIPCO 2019. Here the features are those
of a checkpoint of this program, which needs no other package.

Axes: ``B`` batch, ``S`` sources, ``C`` channels, ``T`` samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from stemsplit.checkpoints import loading
from stemsplit.errors import UsageError
from stemsplit.models.base import SeparationModel
from stemsplit.training.losses.base import PairedConfig, PairedTerm
from stemsplit.training.losses.settings import Given, Some

#: Added to the mean absolute value of features, by which their difference is divided.
FEATURE_FLOOR = 1e-5


@dataclass(frozen=True, slots=True, kw_only=True)
class PerceptualConfig(PairedConfig):
    """Settings of a perceptual loss."""

    #: A model of the registry, which must be downloaded already, or a checkpoint file.
    network: Given
    #: Names of modules in it whose outputs are compared, as in its state dict.
    layers: Some


class Perceptual(PairedTerm):
    """The relative L1 distance of features of a frozen network, the mean over its layers."""

    Config: ClassVar[type[Any]] = PerceptualConfig

    def __init__(self, config: PerceptualConfig, model: SeparationModel) -> None:
        """Load the network, whose weights nothing changes.

        Raises ``UsageError`` for an unknown network or layer and one for audio of another rate, and
        ``CheckpointError`` for missing weights.
        """
        super().__init__(config, model)
        network = loading.load(config.network)
        if network.sample_rate != model.sample_rate:
            rates = f"{network.sample_rate} Hz, not {model.sample_rate} Hz"
            raise UsageError(f"{config.network} is for audio of {rates}")
        # In a list, so that its weights are no parameters of the loss, and are not saved with it.
        self._frozen = [network]
        self.layers = [_module(network, name, config.network) for name in config.layers]

    def distance(self, estimates: Tensor, truth: Tensor) -> Tensor:
        """Return the loss ``(B, S)`` of waves ``(B, S, C, T)``."""
        with torch.no_grad():
            true = self.features(truth)
        pairs = zip(self.features(estimates), true, strict=True)
        distances = torch.stack([_relative(guess, wanted) for guess, wanted in pairs])
        return distances.mean(0).view(truth.shape[:2])

    def features(self, waves: Tensor) -> list[Tensor]:
        """Return the outputs ``(B S, n)`` of the layers for ``waves`` ``(B, S, C, T)``."""
        network = self._frozen[0].to(waves.device)
        rows = waves.flatten(0, 1).float()
        channels = network.channels
        if rows.shape[1] != channels:
            rows = rows.mean(1, keepdim=True).expand(-1, channels, -1)
        with _recorded(self.layers) as found:
            network(rows)
        # A layer may see a row in several pieces.
        return [output.reshape(len(rows), -1) for output in found]


def _module(network: nn.Module, name: str, label: str) -> nn.Module:
    """Return the module ``name`` of ``network``; raises ``UsageError`` that shows ``label``."""
    try:
        return network.get_submodule(name)
    except AttributeError as exc:
        names = [known for known, _ in network.named_modules() if known.count(".") == 1]
        hint = f"some of its layers are {', '.join(names[:8])}" if names else None
        raise UsageError(f"{label} has no layer {name!r}", hint=hint) from exc


@contextmanager
def _recorded(layers: Sequence[nn.Module]) -> Iterator[list[Tensor]]:
    """Fill a list with the outputs of ``layers``, each that of its last run."""
    outputs = [torch.empty(0)] * len(layers)

    def record(place: int, output: object) -> None:
        first = output[0] if isinstance(output, tuple) else output
        assert isinstance(first, Tensor)
        outputs[place] = torch.view_as_real(first) if first.is_complex() else first

    handles = [
        layer.register_forward_hook(lambda _layer, _in, output, place=place: record(place, output))
        for place, layer in enumerate(layers)
    ]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


def _relative(guess: Tensor, wanted: Tensor) -> Tensor:
    """Return the L1 distance ``(n,)`` of rows, relative to the mean absolute value ``wanted``."""
    return (guess - wanted).abs().mean(1) / (wanted.abs().mean(1) + FEATURE_FLOOR)
