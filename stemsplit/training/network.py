"""A network with its loss, its optimizer, and the seeds of a step."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

import numpy as np
import torch
from torch import Tensor, nn

from stemsplit.errors import UsageError
from stemsplit.models.base import SeparationModel
from stemsplit.models.deep_clustering import DeepClustering
from stemsplit.training.losses import make_loss
from stemsplit.training.recipe import OptimizerSettings, Tables

#: The least deviation of an excerpt that is scaled to 1, -60 dB: quieter ones stay quieter.
LEAST_DEVIATION = 1e-3


class TrainedNetwork(nn.Module):
    """``model`` and its loss; a loss may have parameters of its own, which are trained too."""

    def __init__(self, model: SeparationModel, losses: Tables) -> None:
        super().__init__()
        self.model = model
        self.loss = make_loss(losses, model)

    def forward(self, mix: Tensor, sources: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of ``mix`` ``(B, C, T)`` and ``sources`` ``(B, S, C, T)``, and terms."""
        total: Tensor
        terms: dict[str, Tensor]
        total, terms = self.loss(self.model.training_outputs(mix), sources, mix)
        return total, terms


def standardise(model: SeparationModel, mix: Tensor, sources: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``mix`` ``(B, C, T)`` and ``sources`` ``(B, S, C, T)`` as ``model`` processes them.

    A standardised network gets songs of mean 0 and deviation 1; here, each excerpt is scaled.
    """
    if not model.standardised:
        return mix, sources
    mono = mix.mean(1)
    mean = mono.mean(-1)[:, None, None]
    deviation = mono.std(-1).clamp(min=LEAST_DEVIATION)[:, None, None]
    return (mix - mean) / deviation, (sources - mean[:, None]) / deviation[:, None]


def freeze(network: nn.Module, patterns: Sequence[str]) -> int:
    """Exclude the parameters whose names match one of ``patterns``; return how many tensors.

    Raises ``UsageError`` for a pattern without a match, and if nothing is left to train.
    """
    names = [name for name, _ in network.named_parameters()]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            hint = f"names are such as {names[0]} and {names[-1]}"
            raise UsageError(f"freeze: no parameter matches {pattern!r}", hint=hint)
    frozen = 0
    for name, parameter in network.named_parameters():
        if any(fnmatchcase(name, pattern) for pattern in patterns):
            parameter.requires_grad_(False)
            frozen += 1
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise UsageError("freeze: all parameters are frozen")
    return frozen


def set_to_train(network: nn.Module) -> None:
    """Set ``network`` to training; frozen modules keep their dropout off, and their statistics."""
    network.train()
    for module in network.modules():
        own = list(module.parameters())
        if own and not any(parameter.requires_grad for parameter in own):
            module.eval()


def learn_prototypes(network: TrainedNetwork, mix: Tensor, sources: Tensor) -> None:
    """Show a network of clusters which of them belongs to which source: its loss cannot.

    ``mix`` is ``(B, C, T)``, ``sources`` ``(B, S, C, T)``, both standardised. Other networks have
    nothing to learn here. Several processes all take the prototypes of the first with its buffers.
    """
    if isinstance(network.model, DeepClustering):
        network.model.learn_prototypes(mix, sources)
        set_to_train(network)  # frozen modules too have been set to training


def trained(network: nn.Module) -> list[nn.Parameter]:
    """Return the parameters that are not frozen."""
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


def make_optimizer(
    parameters: Iterable[nn.Parameter], settings: OptimizerSettings
) -> torch.optim.Optimizer:
    """Return the optimizer of ``settings``."""
    decay = settings.weight_decay
    if settings.name == "sgd":
        return torch.optim.SGD(
            parameters, settings.lr, momentum=settings.momentum, weight_decay=decay
        )
    kind = torch.optim.AdamW if settings.name == "adamw" else torch.optim.Adam
    first, second = settings.betas
    return kind(parameters, settings.lr, (first, second), settings.eps, decay)


def seed_all(*numbers: int) -> None:
    """Set all generators of random numbers to a function of ``numbers``.

    With a seed for each step, a run that is resumed needs no state of a generator.
    """
    word = int(np.random.SeedSequence(numbers).generate_state(1)[0])
    random.seed(word)
    np.random.seed(word)
    torch.manual_seed(word)
