"""What is to be written: stems, and mixes of them, each a sum of what the model gives."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from math import isinf
from operator import add
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from stemsplit.checkpoints.registry import require_stems
from stemsplit.errors import UsageError
from stemsplit.stem_names import ORDER, STEMS

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    Audio = TypeVar("Audio", Tensor, NDArray[Any])

#: How the song itself is called in a recipe.
SONG = "mix"
#: What ``sum_to_mix`` is where every stem takes a share of what is missing.
SPREAD = "spread"
#: What stands for no stem at all, where only mixes are wanted.
NO_STEM = "none"
#: What a file of all stems is called, where each file has a name.
STEM_FILE = "stems"

#: An output as a sum: how much it has of which stem of the model, or of the song.
Recipe: TypeAlias = Mapping[str, float]

_TERM = re.compile(
    r"\s*(?P<sign>[+-]?)\s*(?:(?P<factor>\d+(?:\.\d*)?|\.\d+)\s*\*\s*)?(?P<name>[^\s+*=-]+)\s*"
)


@dataclass(frozen=True, slots=True)
class Selection:
    """The outputs by name, in order, each with its recipe, and the stems of the model for them.

    With a ``file`` they are the streams of one file of that name. ``sums`` are those that are asked
    to sum to the song; what rounding takes from the others is given to the last.
    """

    recipes: Mapping[str, Recipe]
    needed: tuple[str, ...]
    file: str | None = None
    sums: tuple[str, ...] = ()

    @property
    def wanted(self) -> tuple[str, ...]:
        """The names of the files."""
        return tuple(self.recipes) if self.file is None else (self.file,)

    @property
    def stems(self) -> tuple[str, ...]:
        """The names of all outputs but the song, whether each is a file or a stream."""
        return self.wanted if self.file is None else tuple(n for n in self.recipes if n != SONG)

    @property
    def streams(self) -> tuple[str, ...]:
        """The names of the streams, where there is one file of all."""
        return () if self.file is None else tuple(self.recipes)

    def stems_in(self, name: str) -> list[str]:
        """Return the stems of the model that are in the file ``name``."""
        if self.file is not None:
            return list(self.needed)
        return [stem for stem in self.recipes[name] if stem != SONG]

    def parts(self, name: str) -> dict[str, float]:
        """Return what is in the file ``name``: how much of which stem of the model, or the song.

        Of the streams of one file, ``STREAM.STEM``.
        """
        if self.file is None:
            return dict(self.recipes[name])
        return {
            f"{stream}.{stem}": factor
            for stream, recipe in self.recipes.items()
            for stem, factor in recipe.items()
        }

    def needs_song(self, outputs: Iterable[str]) -> bool:
        """Return whether the song itself is part of one of the files ``outputs``."""
        return any(SONG in self.recipes[name] for name in self.streams or outputs)

    def combine(
        self, stems: Mapping[str, Audio], song: Audio | None, outputs: Iterable[str]
    ) -> dict[str, Audio]:
        """Return the ``outputs`` made of ``stems`` and the ``song``, arrays of one shape."""
        parts = dict(stems) if song is None else {**stems, SONG: song}
        return {name: _sum(self.recipes[name], parts) for name in outputs}


def _sum(recipe: Recipe, parts: Mapping[str, Audio]) -> Audio:
    terms: Iterable[Any] = (
        parts[name] if factor == 1 else parts[name] * factor for name, factor in recipe.items()
    )
    total: Audio = reduce(add, terms)
    return total


def select_stems(
    available: Sequence[str],
    stems: Sequence[str] | None = None,
    two_stems: str | None = None,
    *,
    mixes: Sequence[str] = (),
    sum_to_mix: str | None = None,
) -> Selection:
    """Return what is to be written of a model's ``available`` stems: all, ``stems``, or two.

    ``two_stems`` names one stem; the other is the rest of the song, ``no_`` and that name. Each of
    ``mixes`` is a further output, such as ``karaoke=mix-0.9*vocals``; ``stems`` of only "none"
    leaves these alone. ``sum_to_mix`` names the stem that is given what all of them lack to be the
    song, or is "spread". Raises ``UsageError`` for what is not there and for what excludes itself.
    """
    if stems is not None and two_stems is not None:
        raise UsageError("stems and two_stems exclude each other")
    if isinstance(stems, str):
        raise UsageError(f"stems is a sequence of names, not {stems!r}")
    own = {name: _whole(name, available, sum_to_mix) for name in available}
    recipes = {name: own[name] for name in _chosen(available, stems, two_stems, bool(mixes))}
    if two_stems is not None:
        recipes[f"no_{two_stems}"] = _add([(1, {SONG: 1}), (-1, own[two_stems])])
    for text in mixes:
        name, terms = parse_mix(text, available)
        if name in recipes:
            raise UsageError(f"two outputs are called {name}")
        recipes[name] = _add([(factor, own.get(part, {part: 1})) for part, factor in terms])
    used = {name for recipe in recipes.values() for name in recipe}
    needed = tuple(name for name in available if name in used)
    if not needed:
        raise UsageError("nothing of what is wanted has a stem in it")
    for name, recipe in recipes.items():
        if not recipe:
            raise UsageError(f"nothing is left of {name}: its parts cancel out")
    sums = _sums(available, two_stems, sum_to_mix)
    return Selection(recipes, needed, sums=sums if recipes.keys() >= set(sums) else ())


def as_stem_file(selection: Selection) -> Selection:
    """Return ``selection`` as the streams of one file of Native Instruments: the song comes first.

    Raises ``UsageError`` unless there are four stems, which is what such a file holds.
    """
    names = selection.wanted
    if len(names) != STEMS:
        raise UsageError(
            f"a stem.mp4 holds {STEMS} stems, not {len(names)} ({', '.join(names)})",
            hint=f"name {STEMS} with --stems, or make them with --stems none and --mix",
        )
    if SONG in names:
        raise UsageError(f"two outputs are called {SONG}", hint="it is the first of a stem.mp4")
    # Others than the usual ones stay as they were asked for.
    order = ORDER if set(names) == set(ORDER) else names
    recipes = {SONG: {SONG: 1.0}} | {name: selection.recipes[name] for name in order}
    return Selection(recipes, selection.needed, file=STEM_FILE)


def _chosen(
    available: Sequence[str], stems: Sequence[str] | None, two_stems: str | None, mixed: bool
) -> tuple[str, ...]:
    """Return the stems to write, in the order asked for."""
    if two_stems is not None:
        stems = (two_stems,)
    if stems is None:
        return tuple(available)
    if tuple(stems) == (NO_STEM,) and NO_STEM not in available:
        if not mixed:
            raise UsageError("--stems none leaves only --mix, and there is none")
        return ()
    if not stems:
        raise UsageError("--stems names no stem", hint=f"the stems are: {', '.join(available)}")
    require_stems("the model", available, stems)
    return tuple(dict.fromkeys(stems))  # asked twice is asked once


def _sums(
    available: Sequence[str], two_stems: str | None, sum_to_mix: str | None
) -> tuple[str, ...]:
    """Return the outputs that are asked to sum to the song, last the one that makes them do so."""
    if sum_to_mix is None or len(available) == 1:
        return ()
    if two_stems is not None:
        return (two_stems, f"no_{two_stems}")
    return tuple(sorted(available, key=sum_to_mix.__eq__))


def _whole(name: str, available: Sequence[str], sum_to_mix: str | None) -> Recipe:
    """Return the recipe of the stem ``name`` of the model, with its share of what all lack."""
    if sum_to_mix is None:
        return {name: 1}
    if sum_to_mix != SPREAD:
        require_stems("the model", available, (sum_to_mix,))
        if name != sum_to_mix:
            return {name: 1}
    share = 1 / len(available) if sum_to_mix == SPREAD else 1
    missing = {SONG: 1.0} | dict.fromkeys(available, -1.0)
    return _add([(1, {name: 1}), (share, missing)])


def _add(terms: Iterable[tuple[float, Recipe]]) -> Recipe:
    """Return the sum of recipes with a factor each; what cancels out is left out."""
    total: dict[str, float] = {}
    for factor, recipe in terms:
        for name, part in recipe.items():
            total[name] = total.get(name, 0) + factor * part
    # The song first: what is taken from it is small.
    return {name: total[name] for name in sorted(total, key=SONG.__ne__) if total[name]}


def parse_mix(text: str, available: Sequence[str]) -> tuple[str, list[tuple[str, float]]]:
    """Return the name and the terms of ``text``: ``karaoke=mix-0.9*vocals``.

    A term is a stem or ``mix``, the song, with a factor before it if need be. Raises ``UsageError``
    for anything else.
    """
    name, equals, formula = text.partition("=")
    name = name.strip()
    hint = "as in --mix instrumental=drums+bass+other or --mix karaoke=mix-0.9*vocals"
    if not equals or not name or not formula.strip():
        raise UsageError(f"no mix: {text!r}", hint=hint)
    terms: list[tuple[str, float]] = []
    position = 0
    while position < len(formula):
        match = _TERM.match(formula, position)
        if match is None or (terms and not match["sign"]):
            raise UsageError(f"no sum of stems: {formula[position:].strip()!r}", hint=hint)
        if match["name"] not in (SONG, *available):
            parts = f"a sum is of: {', '.join((SONG, *available))}"
            raise UsageError(f"the model has no stem {match['name']!r}", hint=parts)
        factor = float(match["factor"] or 1)
        if isinf(factor):
            raise UsageError(f"too much of {match['name']}: {match['factor']}")
        terms.append((match["name"], -factor if match["sign"] == "-" else factor))
        position = match.end()
    return name, terms
