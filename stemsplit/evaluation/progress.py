"""How far long work is, also where it turns out on the way that there is more of it."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Step = TypeVar("Step")
Result = TypeVar("Result")


class Work(Generic[Step, Result]):
    """Steps to go through one by one, and what they ``result`` in when they are done."""

    result: Result

    def __init__(self, steps: Generator[Step, None, Result]) -> None:
        self._steps = steps

    def __iter__(self) -> Iterator[Step]:
        self.result = yield from self._steps


@dataclass(frozen=True, slots=True)
class Progressed:
    """``done`` of ``total`` parts of the work."""

    done: int
    total: int


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
        work = Work(steps)
        for amount in work:
            yield self.advance(amount)
        return work.result

    def expect(self, more: int) -> None:
        """Let ``more`` be done in what was left of the way, while something is left of it."""
        longer = self._remaining + more
        self._total = -(-self._total * longer // self._remaining)  # up, so that the share is kept
        self._remaining = longer


def drain(steps: Generator[Any, None, Result]) -> Result:
    """Return what ``steps`` return, whatever they yield."""
    work = Work(steps)
    for _ in work:
        pass
    return work.result
