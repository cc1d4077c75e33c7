"""What it takes to run a model, and how far it looks: ``costs.toml``.

Operations are multiply-adds per second of audio, those of overlapping segments included, in
convolutions, matrix products and LSTMs: what nearly all of the time goes into. They say how much a
network computes, not how fast a machine does it; LSTMs are slower than their figure, as their
frames wait for each other.

``python -m stemsplit.docgen costs`` makes the file from the networks themselves, and tests compare
them. Standard library only.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stemsplit.checkpoints.entries import Model
from stemsplit.checkpoints.registry import resolve
from stemsplit.small_files import parse_toml, read_small

#: The most that a causal model looks ahead, in seconds: a frame of any usual spectrogram.
CAUSAL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of a model; ``operations`` is None where nothing but a song would show them."""

    operations: int | None  # multiply-adds per second of audio
    back: int  # frames before a sample that it may depend on
    ahead: int  # frames after it

    @property
    def reach(self) -> int:
        """The receptive field in frames."""
        return self.back + 1 + self.ahead


def cost_of(model: Model) -> Cost | None:
    """Return the cost of ``model``; None where the file lacks it, as for models of one's own.

    An ensemble takes what its members take together, and looks as far as the farthest of them.
    """
    if model.members:
        members = [cost_of(resolve(name)) for name in model.members]
        known = [cost for cost in members if cost is not None]
        return _together(known) if len(known) == len(members) else None
    facts = _costs().get(model.name)
    if facts is None:
        return None
    back, ahead = (facts.get(key, model.segment) for key in ("back", "ahead"))
    return Cost(facts.get("operations"), back, ahead)


def is_causal(model: Model) -> bool:
    """Return whether ``model`` is known to look ahead by no more than a frame."""
    cost = cost_of(model)
    return cost is not None and cost.ahead <= CAUSAL_SECONDS * model.sample_rate


def _together(costs: list[Cost]) -> Cost:
    operations = [cost.operations for cost in costs]
    return Cost(
        None if None in operations else sum(filter(None, operations)),
        max(cost.back for cost in costs),
        max(cost.ahead for cost in costs),
    )


@functools.cache
def _costs() -> Mapping[str, Mapping[str, int]]:
    return parse_toml(read_small(Path(__file__).with_name("costs.toml")))
