"""Checks that a network can learn: it has to learn one batch by heart within a minute.

A network that is frozen, disconnected or misconfigured trains for days without an error, and
without a result. Here, each source must improve, and gradients must reach each parameter.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from stemsplit.errors import InputError
from stemsplit.evaluation.metrics import global_sdr
from stemsplit.training.batch import Batch
from stemsplit.training.learner import Learner
from stemsplit.training.network import TrainedNetwork, seed_all, standardise
from stemsplit.training.processes import Processes
from stemsplit.training.recipe import Recipe, ScheduleSettings
from stemsplit.training.sampling import Sampler

#: Seconds that the check takes at most, and of an excerpt, and the excerpts in its batch.
BUDGET = 60.0
EXCERPT = 3.0
EXCERPTS = 4
#: The least learning rate: a recipe's own may be meant for months.
LEAST_RATE = 3e-4
#: dB that each source must gain; with more than ``PLENTY`` the check ends early.
GAIN, PLENTY = 1.0, 10.0
#: Steps below which the machine is too slow to tell, and a gain of ``SOME`` dB counts.
FEW_STEPS, SOME = 20, 0.01
#: Steps between two measurements.
MEASURED = 10
#: Batches to look through for one in which all sources sound.
CANDIDATES = 50
#: Mean square below which a source is silent: -80 dB.
SILENCE = 1e-8


@dataclass(frozen=True, slots=True)
class OverfitSource:
    """The SDR of one source, dB, before and after."""

    name: str
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class OverfitResult:
    """How well a batch was learnt in ``steps``; ``unreached`` parameters got no gradient."""

    sources: tuple[OverfitSource, ...]
    steps: int
    seconds: float
    unreached: tuple[str, ...]

    @property
    def unlearned(self) -> tuple[str, ...]:
        """The sources that did not improve."""
        least = GAIN if self.steps >= FEW_STEPS else SOME
        return tuple(s.name for s in self.sources if not s.after - s.before > least)

    @property
    def learned(self) -> bool:
        """Whether the network can learn."""
        return not self.unlearned and not self.unreached


def for_overfitting(recipe: Recipe) -> Recipe:
    """Return ``recipe`` for one small batch that stays as it is: no augmentation, no schedule."""
    return dataclasses.replace(
        recipe,
        batch=min(recipe.batch, EXCERPTS),
        accumulate=1,
        segment=min(recipe.segment or EXCERPT, EXCERPT),
        augment=(),
        ema=(),
        schedule=ScheduleSettings(),
        optimizer=dataclasses.replace(
            recipe.optimizer, lr=max(recipe.optimizer.lr, LEAST_RATE), weight_decay=0.0
        ),
    )


def overfit(
    network: TrainedNetwork,
    sampler: Sampler,
    recipe: Recipe,
    device: torch.device,
    budget: float,
) -> Iterator[OverfitResult]:
    """Yield how well ``network`` has learnt a batch so far, at last after ``budget`` seconds.

    ``recipe`` and the ``sampler`` are those for overfitting.
    """
    start = time.perf_counter()
    batch = _sounding(sampler)
    learner = Learner(network, recipe, device, Processes())
    unreached = {name for name, p in network.named_parameters() if p.requires_grad}
    before = _scores(learner.network, batch, device)
    step = 0
    while True:
        learner.compute(batch, step, 0)
        if unreached:
            unreached -= _reached(learner.network)
        step += 1
        learner.apply(step)
        elapsed = time.perf_counter() - start
        ends = elapsed >= budget * (1 - 1 / (step + 1))  # before a step would exceed it
        if ends or step % MEASURED == 0:
            now = _scores(learner.network, batch, device)
            result = OverfitResult(
                tuple(OverfitSource(name, before[name], now[name]) for name in now),
                step,
                elapsed,
                tuple(sorted(unreached)),
            )
            yield result
            if ends or min(s.after - s.before for s in result.sources) >= PLENTY:
                return


def _sounding(sampler: Sampler) -> Batch:
    """Return a batch in which all sources sound. Raises ``InputError`` if there is none."""
    for step in range(CANDIDATES):
        batch = sampler.draw(step)
        power = np.square(batch.sources).mean((2, 3)).max(0)
        if (power > SILENCE).all():
            return batch
    silent = sampler.drawing.sources[int(np.argmin(power))]
    raise InputError(f"{silent} is silent wherever the songs were looked at")


def _reached(network: TrainedNetwork) -> set[str]:
    """Return the names of the parameters with a gradient that is not 0 everywhere."""
    return {
        name
        for name, parameter in network.named_parameters()
        if parameter.grad is not None and bool(parameter.grad.count_nonzero())
    }


@torch.no_grad()
def _scores(network: TrainedNetwork, batch: Batch, device: torch.device) -> dict[str, float]:
    """Return the global SDR of each source in ``batch``, dB, as the network is in training."""
    seed_all(0)  # so that dropout is the same before and after
    model = network.model
    mix, sources = standardise(
        model, torch.from_numpy(batch.mix).to(device), torch.from_numpy(batch.sources).to(device)
    )
    estimates = model.training_outputs(mix)["sources"].float()
    scores = {}
    for number, name in enumerate(model.sources):
        # One signal of all excerpts: (C, B T).
        truth, guess = (
            each[:, number].transpose(0, 1).flatten(1).cpu() for each in (sources, estimates)
        )
        finite = bool(guess.isfinite().all())
        scores[name] = float(global_sdr(truth, guess)) if finite else -float("inf")
    return scores
