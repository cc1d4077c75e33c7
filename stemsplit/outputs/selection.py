"""Which outputs are written: stems and mixes, each a sum of the model's sources and the mix."""

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
from stemsplit.stem_names import INSTRUMENTAL, ORDER, STEMS, SYNONYMS, VOCALS, WITHOUT

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    Array = TypeVar("Array", Tensor, NDArray[Any])

#: The name of the song itself in a sum.
MIX = "mix"
#: The value of ``sum_to_mix`` that spreads the residual over all stems.
SPREAD = "spread"
#: The value of ``stems`` that writes mixes only.
NO_STEM = "none"
#: The name of the one output that holds all stems.
STEM_FILE = "stems"

#: An output as a sum: the gain of each source of the model, and of the mix, in it.
Terms: TypeAlias = Mapping[str, float]

_TERM = re.compile(
    r"\s*(?P<sign>[+-]?)\s*(?:(?P<factor>\d+(?:\.\d*)?|\.\d+)\s*\*\s*)?(?P<name>[^\s+*=-]+)\s*"
)


@dataclass(frozen=True, slots=True)
class Selection:
    """The outputs by name, in order, each as a sum of the model's ``sources``, in its order.

    Only the ``needed`` sources occur in a sum.
    With ``file``, the outputs are the streams of one file of that name. ``sums`` are the outputs
    that must sum to the song; the last of them compensates for the rounding of the others.
    """

    outputs: Mapping[str, Terms]
    sources: tuple[str, ...]
    needed: tuple[str, ...]
    file: str | None = None
    sums: tuple[str, ...] = ()

    @property
    def wanted(self) -> tuple[str, ...]:
        """The names of the files."""
        return tuple(self.outputs) if self.file is None else (self.file,)

    @property
    def stems(self) -> tuple[str, ...]:
        """The names of all outputs except the mix, whether they are files or streams."""
        return self.wanted if self.file is None else tuple(n for n in self.outputs if n != MIX)

    @property
    def streams(self) -> tuple[str, ...]:
        """The names of the streams, if all outputs are in one file."""
        return () if self.file is None else tuple(self.outputs)

    def sources_in(self, name: str) -> list[str]:
        """Return the sources of the model that are in the file ``name``."""
        if self.file is not None:
            return list(self.needed)
        return [stem for stem in self.outputs[name] if stem != MIX]

    def parts(self, name: str) -> dict[str, float]:
        """Return the gain of each source, and of the mix, in the file ``name``.

        In a file with several streams, the keys are ``STREAM.SOURCE``.
        """
        if self.file is None:
            return dict(self.outputs[name])
        return {
            f"{stream}.{stem}": factor
            for stream, terms in self.outputs.items()
            for stem, factor in terms.items()
        }

    def needs_mix(self, outputs: Iterable[str]) -> bool:
        """Return whether the song itself is part of one of the files ``outputs``."""
        return any(MIX in self.outputs[name] for name in self.streams or outputs)

    def combine(
        self, sources: Mapping[str, Array], mix: Array | None, outputs: Iterable[str]
    ) -> dict[str, Array]:
        """Return the ``outputs`` mixed from ``sources`` and ``mix``, arrays of the same shape."""
        parts = dict(sources) if mix is None else {**sources, MIX: mix}
        return {name: _sum(self.outputs[name], parts) for name in outputs}


def _sum(terms: Terms, parts: Mapping[str, Array]) -> Array:
    scaled: Iterable[Any] = (
        parts[name] if gain == 1 else parts[name] * gain for name, gain in terms.items()
    )
    total: Array = reduce(add, scaled)
    return total


def select_stems(
    available: Sequence[str],
    stems: Sequence[str] | None = None,
    two_stems: str | None = None,
    *,
    mixes: Sequence[str] = (),
    sum_to_mix: str | None = None,
) -> Selection:
    """Select the outputs to make from a model's ``available`` stems: all, ``stems``, or two.

    ``two_stems`` names one stem; the other, named ``no_`` and that name, is the rest of the song.
    Each of ``mixes`` is a further output, such as ``karaoke=mix-0.9*vocals``; if ``stems`` is just
    "none", only these are made. "instrumental" among the stems is the song minus the vocals, unless
    the model has a stem of that name. ``sum_to_mix`` names the stem that the residual is added to,
    or is "spread". Raises ``UsageError`` for unknown stems and mutually exclusive options.
    """
    if stems is not None:
        stems = [_as_called(name, (*available, INSTRUMENTAL)) for name in stems]
    if two_stems is not None:
        two_stems = _as_called(two_stems, (*available, INSTRUMENTAL))
    own = {name: _whole(name, available, sum_to_mix) for name in available}
    named = own | _instrumental(own)
    outputs = {name: named[name] for name in _chosen(available, stems, two_stems, bool(mixes))}
    if two_stems is not None:
        outputs[WITHOUT + two_stems] = _add([(1, {MIX: 1}), (-1, own[two_stems])])
    for text in mixes:
        name, parts = parse_mix(text, available)
        if name in outputs:
            raise UsageError(f"two outputs are called {name}")
        outputs[name] = _add([(gain, own.get(part, {part: 1})) for part, gain in parts])
    used = {name for terms in outputs.values() for name in terms}
    needed = tuple(name for name in available if name in used)
    if not needed:
        raise UsageError("none of the outputs contains a stem")
    for name, terms in outputs.items():
        if not terms:
            raise UsageError(f"nothing is left of {name}: its parts cancel out")
    sums = _sums(available, two_stems, sum_to_mix)
    return Selection(
        outputs,
        tuple(available),
        needed,
        sums=sums if outputs.keys() >= set(sums) else (),
    )


def as_stem_file(selection: Selection) -> Selection:
    """Return ``selection`` as the streams of a Native Instruments stem file, with the mix first.

    Raises ``UsageError`` unless it has four stems, as required by the format.
    """
    names = selection.wanted
    if len(names) != STEMS:
        choose = f"choose {STEMS} with --stems"
        if len(selection.sources) < STEMS:
            choose = "use a model with more stems, such as htdemucs or spleeter_4stems"
        raise UsageError(
            f"a stem.mp4 has {STEMS} stems, not {len(names)} ({', '.join(names)})",
            hint=f"{choose}, or create them with --stems none and --mix",
        )
    if MIX in names:
        raise UsageError(
            f"two outputs are called {MIX}", hint="the first stream of a stem.mp4 is the mix"
        )
    # Unusual stems stay in the requested order.
    order = ORDER if set(names) == set(ORDER) else names
    outputs = {MIX: {MIX: 1.0}} | {name: selection.outputs[name] for name in order}
    return Selection(outputs, selection.sources, selection.needed, file=STEM_FILE)


def _as_called(name: str, available: Sequence[str]) -> str:
    """Return the stem called ``name``, ignoring case; ``name`` itself if there is none."""
    return next((each for each in available if each.lower() == name.lower()), name)


def _instrumental(own: Mapping[str, Terms]) -> dict[str, Terms]:
    """Return the song without vocals by its name, unless a model has it among its ``own`` stems."""
    if INSTRUMENTAL in own or VOCALS not in own:
        return {}
    return {INSTRUMENTAL: _add([(1, {MIX: 1}), (-1, own[VOCALS])])}


def _chosen(
    available: Sequence[str], stems: Sequence[str] | None, two_stems: str | None, mixed: bool
) -> tuple[str, ...]:
    """Return the stems to write, in the requested order."""
    if two_stems is not None:
        without_vocals = SYNONYMS.get(two_stems.lower(), two_stems) == INSTRUMENTAL
        if without_vocals and VOCALS in available and two_stems not in available:
            hint = "--two-stems vocals, or --stems vocals,instrumental"
            raise UsageError(f"the model has no stem {two_stems!r} of its own", hint=hint)
        require_stems("the model", available, (two_stems,))
        return (two_stems,)
    if stems is None:
        return tuple(available)
    if tuple(stems) == (NO_STEM,) and NO_STEM not in available:
        if not mixed:
            raise UsageError("--stems none needs at least one --mix")
        return ()
    if not stems:
        raise UsageError("--stems is empty", hint=f"the stems are: {', '.join(available)}")
    known = (INSTRUMENTAL,) if VOCALS in available else ()
    require_stems("the model", available, [stem for stem in stems if stem not in known])
    return tuple(dict.fromkeys(stems))  # ignore repetitions


def _sums(
    available: Sequence[str], two_stems: str | None, sum_to_mix: str | None
) -> tuple[str, ...]:
    """Return the outputs that must sum to the song; the last one absorbs the residual."""
    if sum_to_mix is None or len(available) == 1:
        return ()
    if two_stems is not None:
        return (two_stems, WITHOUT + two_stems)
    return tuple(sorted(available, key=sum_to_mix.__eq__))


def _whole(name: str, available: Sequence[str], sum_to_mix: str | None) -> Terms:
    """Return the stem ``name`` of the model with its share of the residual."""
    if sum_to_mix is None:
        return {name: 1}
    if sum_to_mix != SPREAD:
        require_stems("the model", available, (sum_to_mix,))
        if name != sum_to_mix:
            return {name: 1}
    share = 1 / len(available) if sum_to_mix == SPREAD else 1
    residual = {MIX: 1.0} | dict.fromkeys(available, -1.0)
    return _add([(1, {name: 1}), (share, residual)])


def _add(parts: Iterable[tuple[float, Terms]]) -> Terms:
    """Return the weighted sum of ``parts`` (gain, terms), without terms that cancel out."""
    total: dict[str, float] = {}
    for gain, terms in parts:
        for name, own in terms.items():
            total[name] = total.get(name, 0) + gain * own
    # The mix comes first, so that the small terms are subtracted from it.
    return {name: total[name] for name in sorted(total, key=MIX.__ne__) if total[name]}


def parse_mix(text: str, available: Sequence[str]) -> tuple[str, list[tuple[str, float]]]:
    """Parse ``text`` to a name and terms: ``karaoke=mix-0.9*vocals``.

    A term is a stem or ``mix`` (the song), preceded by an optional gain. Raises ``UsageError`` for
    anything else.
    """
    name, equals, formula = text.partition("=")
    name = name.strip()
    hint = "as in --mix instrumental=drums+bass+other or --mix karaoke=mix-0.9*vocals"
    if not equals or not name or not formula.strip():
        raise UsageError(f"invalid mix {text!r}", hint=hint)
    terms: list[tuple[str, float]] = []
    position = 0
    while position < len(formula):
        match = _TERM.match(formula, position)
        if match is None or (terms and not match["sign"]):
            raise UsageError(f"invalid sum of stems {formula[position:].strip()!r}", hint=hint)
        if match["name"] not in (MIX, *available):
            parts = f"available: {', '.join((MIX, *available))}"
            raise UsageError(f"the model has no stem {match['name']!r}", hint=parts)
        factor = float(match["factor"] or 1)
        if isinf(factor):
            raise UsageError(f"the gain of {match['name']} is too large: {match['factor']}")
        terms.append((match["name"], -factor if match["sign"] == "-" else factor))
        position = match.end()
    return name, terms
