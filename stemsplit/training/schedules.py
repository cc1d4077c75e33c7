"""Learning rates over the steps of a run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from stemsplit.training.recipe import ScheduleSettings


@dataclass(slots=True)
class Schedule:
    """The factor of the learning rate at each step; "plateau" also depends on validations."""

    settings: ScheduleSettings
    factor: float = 1.0  # of the plateaus so far
    best: float = -math.inf
    since_best: int = 0  # validations

    def at(self, step: int) -> float:
        """Return the factor for the step after ``step`` steps."""
        settings = self.settings
        warm = min(1.0, (step + 1) / settings.warmup) if settings.warmup else 1.0
        match settings.name:
            case "step":
                factor = settings.factor ** (step // settings.every)
            case "exponential":
                factor = settings.factor ** (step / settings.every)
            case "cosine":
                share = min(1.0, step / settings.length)
                wave = (1 + math.cos(math.pi * share)) / 2
                factor = settings.floor + (1 - settings.floor) * wave
            case _:
                factor = self.factor
        return warm * factor

    def observe(self, score: float) -> None:
        """Take note of the ``score`` of a validation; higher is better."""
        if self.settings.name != "plateau":
            return
        if score > self.best:
            self.best, self.since_best = score, 0
            return
        self.since_best += 1
        if self.since_best > self.settings.patience:
            self.factor *= self.settings.factor
            self.since_best = 0

    def state(self) -> dict[str, Any]:
        """Return what changes, as plain values."""
        return {"factor": self.factor, "best": self.best, "since_best": self.since_best}

    def restore(self, state: dict[str, Any]) -> None:
        """Set what `state` has returned."""
        self.factor, self.best = state["factor"], state["best"]
        self.since_best = state["since_best"]
