"""Show what happens in training, and what its check finds."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from stemsplit.cli.console import Console, clock
from stemsplit.cli.meters import Meter
from stemsplit.errors import ExitCode, StemsplitError
from stemsplit.training.events import Started, Stepped, TrainingEvent, describe_event
from stemsplit.types import Warned

if TYPE_CHECKING:
    from stemsplit.training.overfit import OverfitResult

#: Parameters without a gradient to name; a broken network may have thousands.
NAMED = 5
#: Seconds within which songs that are in the cache already are open.
SOON = 2.0


class TrainingRenderer:
    """Shows the events of a run on a ``console``. As a context manager it clears its bar."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._meter = Meter()
        self._start = time.monotonic()
        self._opening = False

    def __enter__(self) -> TrainingRenderer:
        return self

    def __exit__(self, *_: object) -> None:
        self._meter.stop()

    def open_songs(self, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` files of songs are open, if that takes long."""
        if not self._opening and time.monotonic() - self._start > SOON:
            self._opening = True
            self._meter = self._console.progress("opening songs")
        self._meter.update(done, total, f"{done} of {total} files", [f"{done} of {total} files"])

    def show(self, event: TrainingEvent) -> None:
        """Show ``event``."""
        if self._opening:
            self._opening = False
            self._meter.stop()
        match event:
            case Stepped():
                self._step(event)
            case Warned(message, _):
                self._console.warn(message)
            case _:
                self._console.note(describe_event(event) or "")
        if isinstance(event, Started):
            self._meter = self._console.progress("training")

    def _step(self, event: Stepped) -> None:
        rate = event.steps_per_second
        speed = f"{rate:.3g} steps/s" if rate < 100 else f"{rate:.0f} steps/s"
        left = clock((event.steps - event.step) / rate) if rate else "?"
        details = [
            f"loss {event.loss:.4g}",
            speed,
            f"{event.real_time:.3g}× real time",
            f"{event.waiting:.0%} waiting for data".replace("%", " %"),
            f"{left} left",
        ]
        self._meter.update(event.step, event.steps, ", ".join(details), details)


def show_overfitting(console: Console, results: Iterable[OverfitResult], budget: float) -> int:
    """Show how well a batch was learnt in ``budget`` seconds; return the exit code."""
    meter = console.progress("learning one batch by heart")
    result: OverfitResult | None = None
    for result in results:
        done = min(result.seconds, budget)
        scores = ", ".join(f"{each.name} {each.after:.1f} dB" for each in result.sources)
        meter.update(done, budget, scores, [scores])
    meter.stop()
    assert result is not None
    console.data(f"{'stem':<14}{'before':>10}{'after':>14}{'gain':>14}")
    for each in result.sources:
        gain = each.after - each.before if math.isfinite(each.after) else -math.inf
        console.data(f"{each.name:<14}{each.before:>7.1f} dB{each.after:>11.1f} dB{gain:>11.1f} dB")
    console.note(f"{result.steps} steps in {result.seconds:.0f} s")
    for reason in _problems(result):
        console.error(StemsplitError(reason))
    return ExitCode.DONE if result.learned else ExitCode.PARTLY


def _problems(result: OverfitResult) -> list[str]:
    """Return what is wrong with the network, each in a line."""
    found = []
    if result.unlearned:
        found.append(f"does not learn {', '.join(result.unlearned)}")
    if count := len(result.unreached):
        some = ", ".join(result.unreached[:NAMED]) + (" …" if count > NAMED else "")
        what = "parameter gets" if count == 1 else "parameters get"
        found.append(f"{count} {what} no gradient, so they cannot learn: {some}")
    return found
