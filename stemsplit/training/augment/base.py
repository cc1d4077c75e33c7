"""What all augmentations have in common: their settings, and which sources they change."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeAlias

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from stemsplit.errors import UsageError

#: Sources of songs ``(B, S, C, T)``, mixtures ``(B, C, T)``, or one signal ``(C, T)``.
Signals: TypeAlias = NDArray[np.float32]
#: Changes one signal ``(C, T)``.
Effect: TypeAlias = Callable[[Signals], Signals]

PER = ("source", "song")


class Augmentation(Protocol):
    """Changes the true sources before they are mixed, so that the mixture remains their sum."""

    def margin(self, frames: int) -> int:
        """Return how many further frames it needs in order to return ``frames``."""

    def __call__(self, sources: Signals, rng: Generator) -> Signals:
        """Return ``sources`` (B, S, C, T), changed; T is shorter by its margin.

        The array may be overwritten and returned. All random values are drawn from ``rng``.
        """


class MixtureAugmentation(Protocol):
    """Changes the mixture alone; ``reason`` says why its sources do not sum to it afterwards."""

    @property
    def reason(self) -> str:
        """Why the sum is not kept."""

    def __call__(self, mix: Signals, rng: Generator) -> Signals:
        """Return ``mix`` (B, C, T), changed; the array may be overwritten and returned."""


@dataclass(frozen=True, slots=True)
class Material:
    """What is augmented: the names of the S axis, and the sample rate in Hz."""

    sources: tuple[str, ...]
    sample_rate: int


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of an augmentation, and what it is applied to.

    Raises ``UsageError`` for values outside their ranges; `check` of a subclass adds its own.
    """

    material: Material
    p: float = 1.0  # probability, independent for each source (or song)

    def __post_init__(self) -> None:
        check_value("p", self.p, least=0.0, most=1.0)
        self.check()

    def check(self) -> None:
        """Raise ``UsageError`` for invalid settings."""


@dataclass(frozen=True, kw_only=True)
class SourceAugmentation(Settings, ABC):
    """An augmentation of the ``stems`` (by default all).

    ``per = "source"`` draws new values for each source, ``"song"`` the same for all of a song.
    """

    stems: tuple[str, ...] = ()
    per: str = "source"
    choices_of_per: ClassVar[tuple[str, ...]] = PER

    def __post_init__(self) -> None:
        super().__post_init__()
        for stem in self.stems:
            if stem not in self.material.sources:
                known = ", ".join(self.material.sources)
                raise UsageError(f"unknown stem {stem!r}", hint=f"the recipe's sources are {known}")
        if self.per not in self.choices_of_per:
            raise UsageError(f"per must be {' or '.join(self.choices_of_per)}, not {self.per!r}")

    def margin(self, frames: int) -> int:
        """Return 0: most augmentations keep the length."""
        return 0

    @abstractmethod
    def __call__(self, sources: Signals, rng: Generator) -> Signals:
        """Return ``sources`` (B, S, C, T), changed; T is shorter by the margin."""

    @property
    def indices(self) -> list[int]:
        """The places of the stems on the S axis, in ascending order."""
        names = self.stems or self.material.sources
        return [at for at, name in enumerate(self.material.sources) if name in names]

    def groups(self, songs: int, rng: Generator) -> Iterator[tuple[int, list[int]]]:
        """Yield a song and those of its sources that get the same random values."""
        indices = self.indices
        members = [indices] if self.per == "song" else [[index] for index in indices]
        # Drawn before the values: whether one source is changed does not depend on the others.
        chosen = rng.random((songs, len(members))) < self.p
        for song, number in np.argwhere(chosen):
            yield int(song), members[number]


@dataclass(frozen=True, kw_only=True)
class EffectAugmentation(SourceAugmentation):
    """Applies a random effect to each source by itself."""

    @abstractmethod
    def draw(self, rng: Generator) -> Effect:
        """Return the effect (C, T) → (C, T) with random values."""

    def __call__(self, sources: Signals, rng: Generator) -> Signals:
        """Return ``sources`` (B, S, C, T), with the effects written into them."""
        for song, members in self.groups(len(sources), rng):
            effect = self.draw(rng)
            for source in members:
                sources[song, source] = effect(sources[song, source])
        return sources


def check_range(
    low_name: str,
    low: float,
    high_name: str,
    high: float,
    *,
    least: float | None = None,
    most: float | None = None,
) -> None:
    """Raise ``UsageError`` unless least ≤ ``low`` ≤ ``high`` ≤ most."""
    check_value(low_name, low, least=least)
    check_value(high_name, high, most=most)
    if low > high:
        raise UsageError(f"{low_name} = {low:g} is above {high_name} = {high:g}")


def check_value(
    name: str, value: float, *, least: float | None = None, most: float | None = None
) -> None:
    """Raise ``UsageError`` unless least ≤ ``value`` ≤ most."""
    if least is not None and value < least:
        raise UsageError(f"{name} must be at least {least:g}, not {value:g}")
    if most is not None and value > most:
        raise UsageError(f"{name} must be at most {most:g}, not {value:g}")


def root_mean_square(signal: Signals) -> float:
    """Return the root mean square of all samples of ``signal``."""
    return float(np.sqrt(np.square(signal, dtype=np.float64).mean())) if signal.size else 0.0
