"""Filter models by purpose, and rank them by score, size or speed.

Published scores are comparable only if metric and songs are the same: a `Benchmark`. Models are
therefore ranked within one benchmark, followed by those of the next. Standard library only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from stemsplit.checkpoints import cache
from stemsplit.checkpoints.costs import cost_of, is_causal
from stemsplit.checkpoints.entries import Commercial, Model, Scores, total_of
from stemsplit.checkpoints.registry import list_groups, list_models, resolve
from stemsplit.errors import UsageError
from stemsplit.stem_names import SYNONYMS

Order: TypeAlias = Literal["sdr", "size", "speed"]
#: Headings, and the models below each, in order.
Sections: TypeAlias = dict[str, list[Model]]

NO_SCORE = "No published score"
#: From the worst to the best.
_STRICTNESS: tuple[Commercial, ...] = ("no", "unclear", "yes")


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A metric, and the songs it was measured on. MUSDB18 and MUSDB18-HQ are the same songs."""

    metric: str
    dataset: str

    @classmethod
    def of(cls, scores: Scores) -> Benchmark:
        """Return the benchmark of published ``scores``."""
        return cls(scores.metric, scores.dataset.replace("-HQ", ""))

    def __str__(self) -> str:
        return f"{self.metric} on {self.dataset}"


#: Benchmarks with scores of many models, the most common today first; all others rank below.
BENCHMARKS = (
    Benchmark("uSDR", "MVSep Multisong"),
    Benchmark("uSDR", "MUSDB18 test"),
    Benchmark("cSDR", "MUSDB18 test"),
)


@dataclass(frozen=True, slots=True)
class Score:
    """The mean of published scores in dB; not ``complete`` if some of the stems have none."""

    benchmark: Benchmark
    value: float
    complete: bool

    @property
    def rank(self) -> tuple[int, str, float]:
        """A key that sorts by benchmark, then by score, best first."""
        known = self.benchmark in BENCHMARKS
        place = BENCHMARKS.index(self.benchmark) if known else len(BENCHMARKS)
        return place, str(self.benchmark), -self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Requirements for a model: each of ``stems``, words in its ``licence``, and so on."""

    stems: tuple[str, ...] = ()
    licence: str | None = None
    commercial: bool = False
    architecture: str | None = None
    downloaded: bool = False
    causal: bool = False
    hidden: bool = False  # include models that lists leave out

    def grants(self, model: Model) -> bool:
        """Return whether ``model`` meets all requirements."""
        return (
            (self.hidden or not is_hidden(model))
            and set(self.stems) <= set(model.stems)
            and (self.licence is None or _has_words(model.licence, self.licence))
            and (not self.commercial or commercial_of(model) == "yes")
            and (self.architecture is None or self.architecture in architectures_of(model))
            and (not self.downloaded or _is_downloaded(model))
            and (not self.causal or is_causal(model))
        )


def _has_words(text: str, words: str) -> bool:
    """Return whether ``text`` contains ``words`` as whole words, ignoring case."""
    return re.search(rf"(?<!\w){re.escape(words)}(?!\w)", text, re.IGNORECASE) is not None


def _is_downloaded(model: Model) -> bool:
    networks = list(cache.networks(model))
    return any(network.sources for network in networks) and not cache.missing(model)


def is_hidden(model: Model) -> bool:
    """Return whether lists leave ``model`` out: it is for testing, or a member of an ensemble."""
    return model.name.startswith("tiny.") or any(
        model.name in other.members for other in list_models()
    )


def architectures_of(model: Model) -> set[str]:
    """Return the architectures of ``model`` and its members, by the names of their modules."""
    networks = [resolve(name) for name in model.members] or [model]
    return {network.architecture.partition(":")[0] for network in networks}


def commercial_of(model: Model) -> Commercial:
    """Return whether ``model`` allows commercial use; an ensemble is as strict as any member."""
    named = [model, *map(resolve, model.members)]
    return min((each.commercial for each in named), key=_STRICTNESS.index)


def size_of(model: Model) -> int | None:
    """Return the download size of ``model`` in bytes; None if it is unknown.

    For each network, the first source whose files all have a known size counts.
    """
    return total_of(_size_of(network) for network in cache.networks(model) if network.sources)


def _size_of(network: Model) -> int | None:
    totals = (total_of(file.size for file in source.files) for source in network.sources)
    return next((total for total in totals if total is not None), None)


def scores_of(model: Model, stems: Sequence[str] = ()) -> list[Score]:
    """Return the published scores of ``model``, in the order of `Score.rank`.

    They are means over its stems, or over ``stems`` if given.
    """
    wanted = tuple(stems) or model.stems
    found = [_score(scores, wanted, model) for scores in model.scores]
    return sorted((score for score in found if score is not None), key=lambda score: score.rank)


def _score(scores: Scores, wanted: Sequence[str], model: Model) -> Score | None:
    benchmark = Benchmark.of(scores)
    if scores.mean is not None:
        whole = set(wanted) == set(model.stems)
        return Score(benchmark, scores.mean, complete=True) if whole else None
    values = [scores.values[stem] for stem in wanted if stem in scores.values]
    if not values:
        return None
    return Score(benchmark, sum(values) / len(values), complete=len(values) == len(wanted))


def choose(wish: Wish, order: Order | None = None) -> Sections:
    """Return the models that match ``wish``, in their groups or in the given ``order``.

    For "sdr", the headings are benchmarks, and each model is listed below the first one that it has
    a score for. For "size" and "speed", the models with the smallest download or the fewest
    operations come first, and those whose value is unknown come last.
    """
    groups = {name: list(filter(wish.grants, models)) for name, models in list_groups().items()}
    chosen = [model for models in groups.values() for model in models]
    match order:
        case None:
            return {name: models for name, models in groups.items() if models}
        case "sdr":
            return _by_score(chosen, wish.stems)
        case "size":
            return {"": _by(chosen, size_of)}
        case "speed":
            return {"": _by(chosen, _operations)}


def _operations(model: Model) -> int | None:
    cost = cost_of(model)
    return None if cost is None else cost.operations


def _by(models: Iterable[Model], key: Callable[[Model], int | None]) -> list[Model]:
    def place(model: Model) -> tuple[bool, int]:
        value = key(model)
        return value is None, value or 0

    return sorted(models, key=place)


def _by_score(models: Iterable[Model], stems: Sequence[str]) -> Sections:
    scored: list[tuple[Score, Model]] = []
    unscored: list[Model] = []
    for model in models:
        scores = scores_of(model, stems)
        if scores:
            scored.append((scores[0], model))
        else:
            unscored.append(model)
    sections: Sections = {}
    for score, model in sorted(scored, key=lambda pair: pair[0].rank):
        sections.setdefault(str(score.benchmark), []).append(model)
    return sections | ({NO_SCORE: unscored} if unscored else {})


def known_stem(name: str) -> str:
    """Return the stem called ``name``, ignoring case; raises ``UsageError`` for an unknown one."""
    stems = {stem for model in list_models() for stem in model.stems}
    return _known("stem", name, stems, SYNONYMS)


def known_architecture(name: str) -> str:
    """Return the architecture called ``name``; raises ``UsageError`` for an unknown one."""
    found = {each for model in list_models() for each in architectures_of(model)}
    return _known("architecture", name, found)


def _known(
    kind: str, name: str, names: Iterable[str], synonyms: Mapping[str, str] | None = None
) -> str:
    by_lower = {each.lower(): each for each in names}
    if name.lower() in by_lower:
        return by_lower[name.lower()]
    from difflib import get_close_matches  # imported late: few names are unknown

    synonym = (synonyms or {}).get(name.lower())
    near = [synonym] if synonym else get_close_matches(name.lower(), by_lower, n=1)
    known = f"known: {', '.join(sorted(by_lower.values()))}"
    hint = f"did you mean {by_lower[near[0]]}? {known}" if near else known
    raise UsageError(f"no model has the {kind} {name!r}", hint=hint)
