"""How a line is shared out, and how long things are expected to take."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemsplit.batch.speeds import MOST, SHORTEST, SpeedRecord
from stemsplit.cli.announcement import describe_transfer
from stemsplit.cli.forecast import Forecast, TransferRate
from stemsplit.cli.meters import NARROWEST_BAR, SHORTEST_LABEL, WIDEST_BAR, Layout, arrange
from stemsplit.types import Progressed

TEXTS = [
    " 49% 0:14 left, 0:50 for all, 0.4× real time",
    " 49% 0:14 left, 0:50 for all",
    " 49% 0:14 left",
]


@pytest.mark.parametrize(
    ("label", "width", "expected"),
    [
        (9, 100, Layout(9, WIDEST_BAR, TEXTS[0])),
        (60, 80, Layout(26, NARROWEST_BAR, TEXTS[0])),
        (60, 60, Layout(22, NARROWEST_BAR, TEXTS[1])),
        (60, 40, Layout(16, NARROWEST_BAR, TEXTS[2])),
        (60, 24, Layout(9, 0, TEXTS[2])),
        (60, 10, Layout(0, 0, TEXTS[2])),
    ],
)
def test_the_name_shrinks_first_and_the_time_left_stays(
    label: int, width: int, expected: Layout
) -> None:
    assert arrange(label, TEXTS, width) == expected


@given(label=st.integers(0, 300), width=st.integers(16, 300))
def test_a_line_fits(label: int, width: int) -> None:
    layout = arrange(label, TEXTS, width)
    spaces = bool(layout.label) + bool(layout.bar)
    assert layout.label + layout.bar + spaces + len(layout.text) <= width
    if layout.text != TEXTS[-1]:
        assert layout.label >= min(label, SHORTEST_LABEL)


class Clock:
    """Seconds that pass when a test says so."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def progressed(song: str, done: float, total: float, elapsed: float) -> Progressed:
    return Progressed(Path(song), int(done * 100), int(total * 100), 100, elapsed)


def test_the_time_left_for_all_songs() -> None:
    clock = Clock()
    forecast = Forecast(clock)
    forecast.add(progressed("a", 0, 20, 0))
    assert forecast.seconds_left is None  # no length is known
    forecast.survey({Path("a"): 20.0, Path("b"): 30.0, Path("c"): 10.0})
    assert forecast.total == 60
    assert forecast.seconds_left is None  # nor how fast it goes
    forecast.earlier_speed = 2.0
    assert forecast.seconds_left == 30
    clock.now += 5
    now = progressed("a", 10, 20, 5)
    forecast.add(now)
    assert forecast.seconds_left == 25  # at twice real time, which is measured by now
    assert forecast.seconds_left_with(now) == 25
    forecast.end(Path("a"))
    forecast.end(Path("c"))  # it failed
    clock.now += 5
    now = progressed("b", 15, 36, 5)  # longer than its header says
    forecast.add(now)
    assert forecast.seconds_left == (36 - 15) / (25 / 10)
    assert forecast.seconds_left_with(now) is None  # it is the last
    forecast.begin()
    assert forecast.total is None


def test_one_length_that_is_not_known_leaves_the_time_open() -> None:
    forecast = Forecast(Clock())
    forecast.earlier_speed = 1.0
    forecast.survey({Path("a"): 20.0, Path("b"): None})
    assert (forecast.total, forecast.seconds_left) == (None, None)
    forecast.add(progressed("b", 0, 10, 0))
    assert (forecast.total, forecast.seconds_left) == (30, 30)


def test_the_rate_of_a_transfer() -> None:
    clock = Clock()
    rate = TransferRate(clock)
    rate.add(1_000_000)  # an earlier run left so much
    assert rate.bytes_per_second is None
    clock.now += 2
    rate.add(5_000_000)
    assert rate.bytes_per_second == 2e6
    clock.now += 60
    rate.add(6_000_000)
    clock.now += 1
    rate.add(9_000_000)
    assert rate.bytes_per_second == 3e6  # of the last seconds
    rate.add(0)  # another source
    assert rate.bytes_per_second is None
    clock.now += 2
    rate.add(2_000_000)
    assert rate.bytes_per_second == 1e6


@pytest.mark.parametrize(
    ("done", "total", "rate", "expected"),
    [
        (0, 90_000_000, None, "0/90 MB"),
        (30_000_000, 90_000_000, 2e6, "0:30 left, 30/90 MB, 2.0 MB/s"),
        (90_000, 90_000_000, 2.0, "0/90 MB, 0.0 MB/s"),  # it begins slowly
        (30_000_000, None, 2e6, "30 MB, 2.0 MB/s"),
        (90_000_000, 90_000_000, 2e6, "90/90 MB"),
    ],
)
def test_a_transfer_in_words(
    done: int, total: int | None, rate: float | None, expected: str
) -> None:
    assert ", ".join(describe_transfer(done, total, rate)) == expected


def test_speeds_are_kept_by_what_decides_them(tmp_path: Path) -> None:
    path = tmp_path / "cache/speeds.json"
    short = SpeedRecord("a", "cpu")
    short.add(SHORTEST - 1, 3)
    short.save()
    assert not path.exists()
    first = SpeedRecord("a", "cpu")
    first.add(10, 4)
    first.add(20, 6)
    first.save()
    assert SpeedRecord("a", "cpu").known == 3
    assert SpeedRecord("a", "cuda").known is None
    assert [each.name for each in path.parent.iterdir()] == ["speeds.json"]
    for damaged in ("", "[]", '{"[\\"a\\", \\"cpu\\"]": -1}', '{"[\\"a\\", \\"cpu\\"]": "x"}'):
        path.write_text(damaged)
        assert SpeedRecord("a", "cpu").known is None
    first.save()
    assert SpeedRecord("a", "cpu").known == 3


def test_the_oldest_speeds_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "cache/speeds.json"
    path.parent.mkdir()
    path.write_text(json.dumps({json.dumps([number]): 1.0 for number in range(MOST)}))
    for key in (0, MOST):  # one that is known, and a new one
        record = SpeedRecord(key)
        record.add(20, 10)
        record.save()
    known = [SpeedRecord(number).known for number in range(MOST + 1)]
    assert known == [2.0, None, *([1.0] * (MOST - 2)), 2.0]
