"""Recognises steps that fail: NaN, infinity, and losses far above those before."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field
from typing import Any

from stemsplit.errors import ExitCode, StemsplitError
from stemsplit.training.recipe import GuardSettings

#: Losses from which on a median means something.
FEWEST = 5


class Diverged(StemsplitError):
    """Training failed at the same place again and again."""

    exit_code = ExitCode.DEFECT


@dataclass(slots=True)
class Guard:
    """Watches the losses. ``attempts`` counts failures without progress in between."""

    settings: GuardSettings
    losses: list[float] = field(default_factory=list)
    attempts: int = 0
    furthest: int = 0  # step that failed

    def examine(self, loss: float, norm: float | None) -> str | None:
        """Return why a step with ``loss`` and gradients of ``norm`` fails; None if it does not.

        ``norm`` is None where infinite gradients are expected, with a gradient scaler.
        """
        if not math.isfinite(loss):
            return f"the loss is {loss:g}"
        if norm is not None and not math.isfinite(norm):
            return f"the norm of the gradients is {norm:g}"
        if len(self.losses) >= FEWEST:
            usual = statistics.median(self.losses)
            if loss > self.settings.factor * usual > 0:
                return f"the loss is {loss:.3g}, and was about {usual:.3g} before"
        self.losses = [*self.losses, loss][-self.settings.window :]
        return None

    def fail(self, step: int) -> bool:
        """Count a failure after ``step`` steps; return whether it was the last attempt."""
        self.attempts = self.attempts + 1 if step <= self.furthest or not self.attempts else 1
        self.furthest = max(self.furthest, step)
        return self.attempts >= self.settings.attempts

    def pass_(self, step: int) -> None:
        """Forget earlier failures once training is past them."""
        if step > self.furthest + self.settings.window:
            self.attempts = 0

    def state(self) -> dict[str, Any]:
        """Return what changes, as plain values."""
        return {"losses": self.losses, "attempts": self.attempts, "furthest": self.furthest}

    def restore(self, state: dict[str, Any]) -> None:
        """Set what `state` has returned."""
        self.losses = list(state["losses"])
        self.attempts, self.furthest = state["attempts"], state["furthest"]
