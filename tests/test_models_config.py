"""Configurations of networks: a value that a field does not take is refused, naming the field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest

from stemsplit.checkpoints.entries import Model
from stemsplit.checkpoints.registry import list_models
from stemsplit.models import architecture
from stemsplit.models.config import (
    POWER_OF_2,
    CheckedConfig,
    Count,
    CountOrZero,
    Even,
    Odd,
    Share,
    Sources,
    TwoSources,
    WindowLength,
    at_least,
    multiple_of,
    require_groups,
    require_hop,
    require_multiples,
)

#: One registry entry of each architecture.
ENTRIES = {model.architecture: model for model in list_models() if model.architecture}


@dataclass(frozen=True, slots=True, kw_only=True)
class Everything(CheckedConfig):
    sources: Sources = ("vocals",)
    pair: TwoSources = ("left", "right")
    count: Count = 1
    count_or_zero: CountOrZero = 0
    even: Even = 2
    odd: Odd = 1
    window: WindowLength = 4
    share: Share = 0.0
    size: Annotated[int, at_least(8), POWER_OF_2] = 8
    layers: Annotated[Count, multiple_of(3)] = 3
    mask: Literal["relu", "sigmoid"] = "relu"
    mode: Literal[0, 1, 2] = 0
    free: float = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class More(Everything):
    count: Count = 2
    odd: int = 2

    def validate(self) -> None:
        if self.count > self.layers:
            raise ValueError("more than layers")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sources": ()}, "sources must name at least one source, not ()"),
        ({"pair": ("a",)}, "pair must name two sources, not ('a',)"),
        ({"count": 0}, "count must be at least 1, not 0"),
        ({"count_or_zero": -1}, "count_or_zero must be at least 0, not -1"),
        ({"even": 0}, "even must be at least 2, not 0"),
        ({"even": 3}, "even must be even, not 3"),
        ({"odd": -1}, "odd must be at least 1, not -1"),
        ({"odd": 2}, "odd must be odd, not 2"),
        ({"window": 2}, "window must be at least 4, not 2"),
        ({"window": 5}, "window must be even, not 5"),
        ({"share": -0.1}, "share must be a share below 1, not -0.1"),
        ({"share": 1.0}, "share must be a share below 1, not 1.0"),
        ({"size": 4}, "size must be at least 8, not 4"),
        ({"size": 12}, "size must be a power of 2, not 12"),
        ({"layers": 0}, "layers must be at least 1, not 0"),
        ({"layers": 4}, "layers must be a multiple of 3, not 4"),
        ({"mask": "tanh"}, "mask must be 'relu' or 'sigmoid', not 'tanh'"),
        ({"mode": 3}, "mode must be 0, 1 or 2, not 3"),
    ],
)
def test_a_value_that_a_field_does_not_take(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        Everything(**fields)
    assert str(caught.value) == message


def test_values_at_the_limits_are_taken() -> None:
    assert Everything() == Everything(count=1, share=0.0, free=1.5)
    config = Everything(count=9, even=4, odd=3, window=6, share=0.99, size=64, layers=6, mode=2)
    assert (config.size, config.layers) == (64, 6)


def test_a_subclass_checks_its_own_fields_and_those_it_inherits() -> None:
    assert More().odd == 2  # declared again, without a rule
    with pytest.raises(ValueError, match="even must be even, not 5"):
        More(even=5)
    with pytest.raises(ValueError, match="more than layers"):
        More(count=4)
    # What fields say of themselves comes first: `validate` may rely on it.
    with pytest.raises(ValueError, match="layers must be at least 1, not -3"):
        More(layers=-3)


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES)
def test_every_network_refuses_to_have_no_sources_or_rate(entry: Model) -> None:
    config = architecture(entry.architecture).Config
    with pytest.raises(ValueError, match="sources must name"):
        config(sources=())
    with pytest.raises(ValueError, match="sample_rate must be at least 1, not 0"):
        config(sample_rate=0)


def test_relations_between_fields() -> None:
    require_hop(4, 8)
    require_multiples(8, bins=16, block=0)
    require_groups(12, 4)
    with pytest.raises(ValueError, match="a hop of 5 is not within half a window of 8"):
        require_hop(5, 8)
    with pytest.raises(ValueError, match="block must be a multiple of 8, not 12"):
        require_multiples(8, bins=16, block=12)
    for groups in (0, 5):
        with pytest.raises(ValueError, match=f"12 channels do not divide into {groups} groups"):
            require_groups(12, groups)
