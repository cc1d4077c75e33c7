"""Run generators that report their progress and return a result."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Step = TypeVar("Step")
Returned = TypeVar("Returned")


@dataclass(frozen=True, slots=True)
class ScoringProgress:
    """The progress of scoring a song: ``done`` of ``total`` parts."""

    done: int
    total: int


class Steps(Generic[Step, Returned]):
    """The steps that a generator yields, and the ``result`` that it returns after the last."""

    result: Returned

    def __init__(self, generator: Generator[Step, None, Returned]) -> None:
        self._generator = generator

    def __iter__(self) -> Iterator[Step]:
        self.result = yield from self._generator


def drain(generator: Generator[Any, None, Returned]) -> Returned:
    """Return what ``generator`` returns; ignore what it yields."""
    steps = Steps(generator)
    for _ in steps:
        pass
    return steps.result
