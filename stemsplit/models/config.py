"""Configurations of networks: the type of a field defines which values are valid.

::

    @dataclass(frozen=True, slots=True, kw_only=True)
    class NetConfig(CheckedConfig):
        sources: Sources = ("vocals", "rest")
        layers: Count = 4
        kernel: Odd = 3
        mask: Literal["relu", "sigmoid"] = "relu"

An invalid value raises ``ValueError``, which names the field: "kernel must be odd, not 2". Rules
for several fields are checked in `CheckedConfig.validate`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal, TypeAlias, get_args, get_origin, get_type_hints


@dataclass(frozen=True, slots=True)
class Rule:
    """Which values of a field are valid; ``must`` completes the error "NAME must".

    A rule that ``limits`` its field sets the largest number.
    """

    allows: Callable[[Any], bool]
    must: str
    limits: bool = False


def at_least(least: int) -> Rule:
    """Return the rule for numbers of ``least`` or more."""
    return Rule(lambda value: value >= least, f"be at least {least}")


def at_most(most: int) -> Rule:
    """Return the rule for numbers up to ``most``."""
    return Rule(lambda value: value <= most, f"be at most {most}", limits=True)


def multiple_of(step: int) -> Rule:
    """Return the rule for multiples of ``step``."""
    return Rule(lambda value: value % step == 0, f"be a multiple of {step}")


EVEN = Rule(lambda value: value % 2 == 0, "be even")
ODD = Rule(lambda value: value % 2 == 1, "be odd")
POWER_OF_2 = Rule(lambda value: value & (value - 1) == 0, "be a power of 2")

#: The most bytes in the name of a source, which becomes part of a file name.
LONGEST_NAME = 100
NAMES = Rule(
    lambda names: all(0 < len(str(name).encode()) <= LONGEST_NAME for name in names),
    f"have names of 1 to {LONGEST_NAME} bytes",
)

Sources: TypeAlias = Annotated[
    tuple[str, ...], Rule(lambda names: len(names) >= 1, "name at least one source"), NAMES
]
TwoSources: TypeAlias = Annotated[
    tuple[str, ...], Rule(lambda names: len(names) == 2, "name two sources"), NAMES
]
Count: TypeAlias = Annotated[int, at_least(1)]
CountOrZero: TypeAlias = Annotated[int, at_least(0)]
Even: TypeAlias = Annotated[int, at_least(2), EVEN]
Odd: TypeAlias = Annotated[int, at_least(1), ODD]
#: Levels of a network in which each level has a multiple of the previous level's channels.
Depth: TypeAlias = Annotated[int, at_most(100)]
#: Hz.
Rate: TypeAlias = Annotated[int, at_least(1), at_most(768_000)]
#: The longest segment in frames: three minutes at 44.1 kHz.
LONGEST_SEGMENT = 2**23
Segment: TypeAlias = Annotated[int, at_least(1), at_most(LONGEST_SEGMENT)]
#: Samples of an STFT's window.
FFTLength: TypeAlias = Annotated[int, at_least(1), at_most(2**17)]
WindowLength: TypeAlias = Annotated[FFTLength, at_least(4), EVEN]
#: Iterations over a whole segment.
Iterations: TypeAlias = Annotated[int, at_least(0), at_most(1000)]
Share: TypeAlias = Annotated[float, Rule(lambda share: 0 <= share < 1, "be a share below 1")]


#: Limits for all other numbers, and lists of numbers. Every published network is far below; larger
#: values would take hours, or all memory, before an error shows.
LARGEST_NUMBER = 10**6
LONGEST_LIST = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedConfig:
    """A configuration that refuses invalid values."""

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for invalid values."""
        own_class: type = type(self)
        for name, rule in _rules(own_class):
            value = getattr(self, name)
            if not rule.allows(value):
                raise ValueError(f"{name} must {rule.must}, not {value!r:.100}")
        for field in fields(self):
            if field.name not in _limited(own_class):
                _refuse_excessive(field.name, getattr(self, field.name))
        self.validate()

    def validate(self) -> None:
        """Raise ``ValueError`` for incompatible values; each is valid by itself."""


@functools.cache
def _rules(config: type) -> tuple[tuple[str, Rule], ...]:
    """Return the names of the fields of ``config`` with their rules, in order."""
    hints = get_type_hints(config, include_extras=True)
    return tuple((name, rule) for name, hint in hints.items() for rule in _rules_of(hint))


@functools.cache
def _limited(config: type) -> frozenset[str]:
    """Return the names of the fields of ``config`` that have their own limit."""
    return frozenset(name for name, rule in _rules(config) if rule.limits)


def _refuse_excessive(name: str, value: object) -> None:
    """Raise ``ValueError`` for numbers, also in lists, that are too large for any network."""
    if isinstance(value, list | tuple):
        if len(value) > LONGEST_LIST:
            raise ValueError(f"{name} must have at most {LONGEST_LIST} values, not {len(value)}")
        for each in value:
            _refuse_excessive(name, each)
    elif isinstance(value, int | float) and not abs(value) <= LARGEST_NUMBER:
        raise ValueError(f"{name} must be at most {LARGEST_NUMBER}, not {value!r:.100}")


def _rules_of(hint: Any) -> Iterator[Rule]:
    """Yield the rules of a type: those that annotate it, or its values if it is a ``Literal``."""
    if get_origin(hint) is Annotated:
        yield from (extra for extra in hint.__metadata__ if isinstance(extra, Rule))
    elif get_origin(hint) is Literal:
        choices = get_args(hint)
        *others, last = map(repr, choices)
        yield Rule(choices.__contains__, f"be {', '.join(others)} or {last}")


MOST_WINDOWS = 64  # over one sample


def require_hop(hop: int, n_fft: int) -> None:
    """Raise ``ValueError`` unless windows of ``n_fft`` samples overlap by 1/2 to 63/64.

    A spectrogram is as many times larger than its signal as windows cover each sample.
    """
    if not 0 < hop <= n_fft // 2:
        raise ValueError(f"a hop of {hop} is not within half a window of {n_fft}")
    if hop * MOST_WINDOWS < n_fft:
        raise ValueError(f"a hop of {hop} is less than a window of {n_fft} / {MOST_WINDOWS}")


def require_multiples(step: int, **sizes: int) -> None:
    """Raise ``ValueError`` unless ``step`` divides each of ``sizes``, named like the fields."""
    for name, size in sizes.items():
        if size % step:
            raise ValueError(f"{name} must be a multiple of {step}, not {size}")


def require_groups(channels: int, groups: int) -> None:
    """Raise ``ValueError`` unless ``channels`` divide into ``groups``."""
    if groups < 1 or channels % groups:
        raise ValueError(f"{channels} channels do not divide into {groups} groups")
