"""How far long work is, also where it turns out on the way that there is more of it."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeVar

from stemsplit.types import Progressed

Result = TypeVar("Result")


class Progress:
    """How much of ``total`` is done, as a share that never falls."""

    def __init__(self, total: int) -> None:
        self._total = self._remaining = total

    @property
    def remaining(self) -> int:
        """What is still to be done."""
        return self._remaining

    def advance(self, amount: int) -> Progressed:
        """Return how far it is after ``amount`` more, of what remains."""
        self._remaining -= amount
        return Progressed(self._total - self._remaining, self._total)

    def follow(self, steps: Generator[int, None, Result]) -> Generator[Progressed, None, Result]:
        """Return what ``steps`` return, and yield how far it is after the amount of each."""
        while True:
            try:
                amount = next(steps)
            except StopIteration as end:
                result: Result = end.value
                return result
            yield self.advance(amount)

    def expect(self, more: int) -> None:
        """Let ``more`` be done in what was left of the way, while something is left of it."""
        longer = self._remaining + more
        self._total = -(-self._total * longer // self._remaining)  # up, so that the share is kept
        self._remaining = longer


def drain(steps: Generator[Any, None, Result]) -> Result:
    """Return what ``steps`` return, whatever they yield."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: Result = end.value
            return result
