"""Generators with steps and a result."""

from collections.abc import Generator

from stemsplit.evaluation.steps import Steps, drain


def count(end: int) -> Generator[int, None, str]:
    yield from range(end)
    return f"counted to {end}"


def test_the_result_is_there_after_the_last_step() -> None:
    steps = Steps(count(3))
    assert list(steps) == [0, 1, 2]
    assert steps.result == "counted to 3"
    assert drain(count(0)) == "counted to 0"
