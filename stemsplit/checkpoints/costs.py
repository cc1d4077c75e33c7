"""The computational cost and the receptive field of each model: ``costs.toml``.

Operations are multiply-adds per second of audio, including those of overlapping segments, in
convolutions, matrix products and LSTMs, which take nearly all of the time. They measure how much a
network computes, not how fast a machine runs it; LSTMs are slower than their figure suggests, since
they process frames one after another.

``python -m stemsplit.docgen costs`` generates the file from the networks themselves, and tests
compare the two. Standard library only.
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
    """The cost of a model; ``operations`` is None if they depend on the song."""

    operations: int | None  # multiply-adds per second of audio
    back: int  # frames before a sample that it may depend on
    ahead: int  # frames after it

    @property
    def reach(self) -> int:
        """The receptive field in frames."""
        return self.back + 1 + self.ahead


def cost_of(model: Model) -> Cost | None:
    """Return the cost of ``model``; None if the file lacks it, as for custom models.

    The cost of an ensemble is the sum over its members, and its receptive field is the largest.
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
