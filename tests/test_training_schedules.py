"""Learning rates against their formulas, and what the guard takes for a failure."""

from __future__ import annotations

import math

import pytest

from stemsplit.training.guard import Guard
from stemsplit.training.recipe import GuardSettings, ScheduleSettings
from stemsplit.training.schedules import Schedule


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"name": "constant"}, {0: 1.0, 1000: 1.0}),
        ({"name": "constant", "warmup": 10}, {0: 0.1, 4: 0.5, 9: 1.0, 500: 1.0}),
        ({"name": "step", "factor": 0.2, "every": 100}, {0: 1, 99: 1, 100: 0.2, 250: 0.04}),
        ({"name": "exponential", "factor": 0.5, "every": 100}, {0: 1, 50: 0.5**0.5, 200: 0.25}),
        ({"name": "cosine", "length": 100}, {0: 1, 50: 0.5, 100: 0, 500: 0}),
        ({"name": "cosine", "length": 100, "floor": 0.2}, {0: 1, 50: 0.6, 100: 0.2}),
        (
            {"name": "cosine", "length": 100, "warmup": 10},
            {4: 0.5 * (1 + math.cos(0.04 * math.pi)) / 2},
        ),
    ],
)
def test_a_schedule_follows_its_formula(
    settings: dict[str, object], expected: dict[int, float]
) -> None:
    schedule = Schedule(ScheduleSettings(**settings))  # type: ignore[arg-type]
    for step, factor in expected.items():
        assert schedule.at(step) == pytest.approx(factor, abs=1e-12)


def test_a_plateau_lowers_the_rate_after_its_patience_and_counts_anew() -> None:
    schedule = Schedule(ScheduleSettings(name="plateau", patience=1, factor=0.5))
    factors = []
    for score in (1.0, 2.0, 1.5, 1.5, 1.9, 1.9, 3.0, 2.0):
        schedule.observe(score)
        factors.append(schedule.at(0))
    assert factors == [1.0, 1.0, 1.0, 0.5, 0.5, 0.25, 0.25, 0.25]
    other = Schedule(ScheduleSettings(name="plateau", patience=1, factor=0.5))
    other.restore(schedule.state())
    other.observe(2.0)
    assert other.at(0) == 0.125


def guard(**settings: float) -> Guard:
    return Guard(GuardSettings(**settings))  # type: ignore[arg-type]


def test_the_guard_refuses_what_is_not_finite() -> None:
    assert guard().examine(math.nan, 1.0) == "the loss is nan"
    assert guard().examine(math.inf, 1.0) == "the loss is inf"
    assert guard().examine(1.0, math.inf) == "the norm of the gradients is inf"
    assert guard().examine(1.0, None) is None  # a scaler expects infinite gradients


def test_the_guard_refuses_a_loss_far_above_the_median_of_the_last_ones() -> None:
    watched = guard(factor=10, window=8)
    for loss in (5.0, 1.0, 1.0, 1.0, 1.0):
        assert watched.examine(loss, 1.0) is None
    assert watched.examine(9.9, 1.0) is None
    assert watched.examine(10.1, 1.0) == "the loss is 10.1, and was about 1 before"
    for _ in range(8):
        watched.examine(3.0, 1.0)
    assert watched.examine(10.1, 1.0) is None


def test_attempts_count_until_training_is_past_the_failure() -> None:
    watched = guard(attempts=3, window=10)
    assert [watched.fail(100), watched.fail(90), watched.fail(100)] == [False, False, True]
    watched = guard(attempts=3, window=10)
    watched.fail(100)
    watched.fail(95)
    watched.pass_(105)
    assert watched.attempts == 2
    watched.pass_(111)
    assert watched.attempts == 0
    assert [watched.fail(200), watched.fail(150), watched.fail(200)] == [False, False, True]
