"""The augmentations of a recipe, in order: from its tables to batches."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.random import Generator

from stemsplit.errors import StemsplitError, UsageError
from stemsplit.training.augment.base import (
    Augmentation,
    EffectAugmentation,
    Material,
    MixtureAugmentation,
    Settings,
    Signals,
)
from stemsplit.training.augment.table import OF_MIXTURE, OF_SOURCES
from stemsplit.training.batch import Batch

#: Settings that make no sense for a mixture.
OF_SOURCES_ONLY = ("stems", "per")
_Settings = TypeVar("_Settings", bound=Settings)


@dataclass(frozen=True, slots=True)
class OnMixture:
    """Applies an effect to the mixture of each song with the probability ``effect.p``."""

    effect: EffectAugmentation
    reason: str

    def __call__(self, mix: Signals, rng: Generator) -> Signals:
        """Return ``mix`` (B, C, T), with the effects written into it."""
        for song in np.flatnonzero(rng.random(len(mix)) < self.effect.p):
            mix[song] = self.effect.draw(rng)(mix[song])
        return mix


class Chain:
    """Makes a batch of true sources: augments them, mixes them, and augments the mixture.

    Everything random is drawn from the generator that is passed in: the same state and sources
    result in the same bytes. A chain keeps nothing between calls, and can be sent to workers.
    """

    def __init__(
        self, of_sources: Sequence[Augmentation], of_mixture: Sequence[MixtureAugmentation]
    ) -> None:
        self._of_sources = tuple(of_sources)
        self._of_mixture = tuple(of_mixture)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the sources do not sum to the mixture; empty if they do."""
        return tuple(augmentation.reason for augmentation in self._of_mixture)

    def margin(self, frames: int) -> int:
        """Return how many further frames must be read so that ``frames`` are left."""
        needed = frames
        for augmentation in reversed(self._of_sources):
            needed += augmentation.margin(needed)
        return needed - frames

    def __call__(self, sources: Signals, rng: Generator, frames: int) -> Batch:
        """Return a batch of ``frames`` frames, from ``sources`` (B, S, C, frames + margin).

        The array is overwritten. Without augmentations of the mixture, ``mix`` is the sum of
        ``sources``. Raises ``ValueError`` for another length.
        """
        if (given := sources.shape[-1]) != (needed := frames + self.margin(frames)):
            raise ValueError(f"{given} frames instead of {needed}")
        for augmentation in self._of_sources:
            sources = augmentation(sources, rng)
        mix: Signals = sources.sum(axis=1)
        for on_mixture in self._of_mixture:
            mix = on_mixture(mix, rng)
        return Batch(sources, mix)


def make_chain(
    settings: Sequence[Mapping[str, Any]], *, sources: Sequence[str], sample_rate: int
) -> Chain:
    """Return the chain that the tables ``[[augment]]`` of a recipe describe.

    Each table has the ``name`` of an augmentation and settings for it. Those of the mixture are
    applied after all others. Raises ``UsageError`` for unknown names, keys and stems and invalid
    values, and ``ResourceError`` if an augmentation needs a package that is not installed.
    """
    material = Material(tuple(sources), sample_rate)
    of_sources: list[Augmentation] = []
    of_mixture: list[MixtureAugmentation] = []
    for table in settings:
        name = str(table.get("name", ""))
        rest = {key: table[key] for key in table if key != "name"}
        if name in OF_SOURCES:
            of_sources.append(_read(name, OF_SOURCES[name], rest, material))
        elif name in OF_MIXTURE:
            row = OF_MIXTURE[name]
            effect = _read(name, row.effect, rest, material, without=OF_SOURCES_ONLY)
            of_mixture.append(OnMixture(effect, row.reason))
        else:
            known = ", ".join((*OF_SOURCES, *OF_MIXTURE))
            reason = f"augment: unknown name {name!r}" if name else "augment: name is missing"
            raise UsageError(reason, hint=f"choose from {known}")
    return Chain(of_sources, of_mixture)


def _read(
    name: str,
    kind: type[_Settings],
    table: Mapping[str, Any],
    material: Material,
    *,
    without: Sequence[str] = (),
) -> _Settings:
    """Return the augmentation ``name`` with the settings in ``table``."""
    fields = {field.name: field for field in dataclasses.fields(kind)}
    known = [key for key in fields if key not in ("material", *without)]
    for key in table:
        if key not in known:
            reason = f"augment: {name}: unknown key {key!r}"
            raise UsageError(reason, hint=f"its keys are {', '.join(known)}")
    for key in known:
        if key not in table and fields[key].default is dataclasses.MISSING:
            raise UsageError(f"augment: {name}: {key} is missing")
    try:
        values = {key: _value(key, value, str(fields[key].type)) for key, value in table.items()}
        return kind(material=material, **values)
    except StemsplitError as exc:
        exc.reason = f"augment: {name}: {exc.reason}"
        raise


def _value(key: str, value: Any, kind: str) -> Any:
    """Return ``value`` as the type that the annotation ``kind`` names."""
    words, fits, convert = KINDS[kind]
    if not fits(value):
        raise UsageError(f"{key} must be {words}, not {value!r:.100}")
    return convert(value)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return _is_whole(value) or (isinstance(value, float) and math.isfinite(value))


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_list(fits: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, list | tuple) and all(map(fits, value))


#: By annotation: what it is called, whether a value of TOML fits, and how it is converted.
KINDS: Mapping[str, tuple[str, Callable[[object], bool], Callable[[Any], Any]]] = {
    "float": ("a number", _is_number, float),
    "int": ("a whole number", _is_whole, int),
    "str": ("text", _is_text, str),
    "tuple[float, ...]": ("a list of numbers", _is_list(_is_number), tuple),
    "tuple[str, ...]": ("a list of names", _is_list(_is_text), tuple),
}
