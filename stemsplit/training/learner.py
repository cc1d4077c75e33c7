"""A network that learns: a step of gradients, of the optimizer and of the averages of weights."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from stemsplit.errors import CheckpointError, MemoryShortage
from stemsplit.separation.device import memory_explained
from stemsplit.training.batch import Batch
from stemsplit.training.ema import WeightAverage
from stemsplit.training.network import (
    TrainedNetwork,
    freeze,
    learn_prototypes,
    make_optimizer,
    seed_all,
    set_to_train,
    standardise,
    trained,
)
from stemsplit.training.processes import Processes
from stemsplit.training.recipe import Recipe
from stemsplit.training.schedules import Schedule
from stemsplit.training.state import TrainingState, pack_optimizer, unpack_optimizer

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
#: The name of the weights that are trained, beside those of their averages.
CURRENT = "current"


@dataclass(frozen=True, slots=True)
class Gradients:
    """What a step has computed before the weights change."""

    loss: float  # over all processes
    terms: dict[str, float]
    norm: float  # before clipping
    lr: float


class Learner:
    """``network`` on ``device`` with everything that changes from step to step."""

    def __init__(
        self, network: TrainedNetwork, recipe: Recipe, device: torch.device, processes: Processes
    ) -> None:
        self.network = network.to(device)
        self.frozen = freeze(network.model, recipe.fine_tuning.freeze)
        self._recipe = recipe
        self._device = device
        self._processes = processes
        self._dtype = DTYPES[recipe.precision]
        self.optimizer = make_optimizer(trained(network), recipe.optimizer)
        self.scaler = torch.amp.GradScaler(device.type, enabled=recipe.precision == "fp16")
        self.schedule = Schedule(recipe.schedule)
        self.averages = [WeightAverage(network, settings) for settings in recipe.ema]
        set_to_train(network)
        self._runner = self._wrap()

    def _wrap(self) -> nn.Module:
        runner: nn.Module = self.network
        if self._processes.count > 1:
            places = [self._device] if self._device.type == "cuda" else None
            runner = DistributedDataParallel(runner, device_ids=places)
        if self._recipe.compile:
            runner.compile()
        return runner

    def compute(self, batch: Batch, step: int, order: int) -> Gradients:
        """Compute the gradients of ``batch`` for the step after ``step`` steps.

        Raises ``MemoryShortage`` if the device has too little memory.
        """
        seed_all(self._recipe.seed, step, self._processes.number, order, 1)
        lr = self._recipe.optimizer.lr * self.schedule.at(step)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.zero_grad(set_to_none=True)
        try:
            with memory_explained(self._device):
                loss, terms = self._backward(batch)
        except MemoryShortage as exc:
            hint = "use a smaller --set batch=N, or process it in parts: --set accumulate=N"
            raise MemoryShortage(exc.reason, hint=hint) from exc
        self.scaler.unscale_(self.optimizer)
        limit = self._recipe.optimizer.clip or math.inf
        norm = float(nn.utils.clip_grad_norm_(trained(self.network), limit))
        return Gradients(self._processes.mean(loss), terms, norm, lr)

    def _backward(self, batch: Batch) -> tuple[float, dict[str, float]]:
        """Add up the gradients of the parts of ``batch``; return the mean loss and its terms."""
        count = self._recipe.accumulate
        loss, sums = 0.0, dict[str, float]()
        parts = zip(
            torch.from_numpy(batch.mix).chunk(count),
            torch.from_numpy(batch.sources).chunk(count),
            strict=True,
        )
        for number, part in enumerate(parts, 1):
            mix, sources = standardise(
                self.network.model, *(tensor.to(self._device) for tensor in part)
            )
            with self._synchronised(number == count):
                with torch.autocast(
                    self._device.type, self._dtype, enabled=self._dtype != torch.float32
                ):
                    total, terms = self._runner(mix, sources)
                self.scaler.scale(total / count).backward()
            learn_prototypes(self.network, mix, sources)
            loss += float(total.detach()) / count
            for name, value in terms.items():
                sums[name] = sums.get(name, 0.0) + float(value.detach()) / count
        return loss, sums

    def _synchronised(self, last: bool) -> contextlib.AbstractContextManager[Any]:
        """Return the context of a backward pass: processes add up gradients in the ``last`` one."""
        if last or not isinstance(self._runner, DistributedDataParallel):
            return contextlib.nullcontext()
        return self._runner.no_sync()

    def apply(self, step: int) -> None:
        """Change the weights by the gradients; ``step`` steps are then done."""
        self.scaler.step(self.optimizer)
        self.scaler.update()
        for average in self.averages:
            average.update(self.network, step)

    @property
    def expects_infinity(self) -> bool:
        """Whether infinite gradients are part of the method, which lowers their scale."""
        return self.scaler.is_enabled()

    def candidates(self) -> dict[str, dict[str, Tensor]]:
        """Return the weights of the model to validate: the current ones, and the averages."""
        current = dict(self.network.model.state_dict())
        averages = {
            average.name: {
                name.removeprefix("model."): tensor
                for name, tensor in average.tensors.items()
                if name.startswith("model.")
            }
            for average in self.averages
        }
        return {CURRENT: current, **averages}

    def state(self) -> TrainingState:
        """Return everything that changes, without copying it."""
        optimizer, numbers = pack_optimizer(self.optimizer.state_dict())
        tensors = {f"network.{name}": each for name, each in self.network.state_dict().items()}
        tensors |= {f"optimizer.{name}": each for name, each in optimizer.items()}
        for number, average in enumerate(self.averages):
            tensors |= {f"average.{number}.{name}": t for name, t in average.tensors.items()}
        values = {
            "optimizer": numbers,
            "scaler": self.scaler.state_dict(),
            "schedule": self.schedule.state(),
            "averages": [average.count for average in self.averages],
        }
        return TrainingState(tensors, values)

    def restore(self, state: TrainingState) -> None:
        """Continue from ``state``. Raises ``CheckpointError`` if it is that of another network."""
        values = state.values
        try:
            self.network.load_state_dict(state.below("network."))
            found = unpack_optimizer(state.below("optimizer."), values["optimizer"])
            groups = self.optimizer.state_dict()["param_groups"]
            self.optimizer.load_state_dict({"state": found, "param_groups": groups})
            self.scaler.load_state_dict(values["scaler"] or self.scaler.state_dict())
            self.schedule.restore(values["schedule"])
            for number, count in enumerate(values["averages"]):
                self.averages[number].restore(state.below(f"average.{number}."), count)
        except (RuntimeError, LookupError, ValueError) as exc:
            reason = str(exc).partition("\n")[0]
            raise CheckpointError(
                f"the state does not fit the recipe: {reason}",
                hint="it is of another architecture, or the recipe has changed",
            ) from exc
