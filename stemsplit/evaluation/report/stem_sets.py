"""Compare several sets of stems of the same songs by their scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from stemsplit.evaluation.report.explanations import METRICS
from stemsplit.evaluation.report.tables import (
    COLUMNS,
    StemSummary,
    combine,
    csv_rows,
    harmless,
    join_csv,
    song_values,
)
from stemsplit.evaluation.scores import SongScores, median

#: Distances, for which lower is better.
LOWER_IS_BETTER = frozenset(metric.key for metric in METRICS if metric.group == "distance")


@dataclass(frozen=True, kw_only=True)
class ComparedSong:
    """The scores of one song by set; all sets have the same stems, in the same order."""

    name: str
    sets: Mapping[str, SongScores]

    @property
    def first(self) -> SongScores:
        """The scores of the first set, whose references and mixture are those of all sets."""
        return next(iter(self.sets.values()))

    @cached_property
    def values(self) -> Mapping[str, list[StemSummary]]:
        """The ``song_values`` of each set, computed once for all metrics."""
        return {name: song_values(scores) for name, scores in self.sets.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The difference of a set from the first one in a metric of one stem.

    ``median`` is the median over songs of its value minus that of the first set; NaN if no song has
    both. ``wins`` and ``losses`` count the songs in which it is better and worse.
    """

    median: float
    wins: int
    losses: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricRow:
    """One metric of one stem in all sets.

    ``values`` are those over songs by set, as in ``StemSummary``. ``best`` are the sets with the
    best value, empty if all are equal or NaN. ``differences`` are those of all sets except the
    first.
    """

    stem: str
    values: Mapping[str, float]
    best: tuple[str, ...]
    differences: Mapping[str, Difference]


def compare_sets(songs: Sequence[ComparedSong], metric: str) -> list[MetricRow]:
    """Return a row for each stem of ``songs``; raises ``KeyError`` for an unknown metric."""
    names = list(songs[0].sets)
    summaries = {
        name: {stem.name: stem for stem in combine(song.values[name] for song in songs)}
        for name in names
    }
    return [
        _row(
            stem,
            {name: summaries[name][stem].values[metric] for name in names},
            [values for song in songs if (values := _values_of(song, stem, metric))],
            metric,
        )
        for stem in summaries[names[0]]
    ]


def average_row(rows: Sequence[MetricRow], metric: str) -> MetricRow:
    """Return the mean over stems of the ``rows`` of a ``metric``; wins and losses are summed.

    The mean is NaN if a stem has no value.
    """
    values = {name: sum(row.values[name] for row in rows) / len(rows) for name in rows[0].values}
    differences = {}
    for name in rows[0].differences:
        found = [row.differences[name] for row in rows]
        differences[name] = Difference(
            median=sum(each.median for each in found) / len(found),
            wins=sum(each.wins for each in found),
            losses=sum(each.losses for each in found),
        )
    return MetricRow(
        stem="average", values=values, best=_best(values, metric), differences=differences
    )


def letter(number: int) -> str:
    """Return the letter of the set ``number``, from 0: A, B, …, Z, AA."""
    return (letter(number // 26 - 1) if number >= 26 else "") + chr(ord("A") + number % 26)


def to_set_csv(songs: Sequence[ComparedSong]) -> str:
    """Return a table as ``to_csv`` does, with one line per stem, set and song.

    The third column is the name of the set.
    """
    rows = (
        (harmless(song.name), stem, harmless(name), *rest)
        for song in songs
        for name, scores in song.sets.items()
        for _, stem, *rest in csv_rows(scores)
    )
    return join_csv((*COLUMNS[:2], "set", *COLUMNS[2:]), rows)


def _values_of(song: ComparedSong, stem: str, metric: str) -> dict[str, float]:
    """Return the values of ``metric`` by set; empty if the song does not have the stem."""
    return {
        name: each.values[metric]
        for name, stems in song.values.items()
        for each in stems
        if each.name == stem
    }


def _row(
    stem: str, values: Mapping[str, float], songs: Sequence[Mapping[str, float]], metric: str
) -> MetricRow:
    first, *others = values
    return MetricRow(
        stem=stem,
        values=values,
        best=_best(values, metric),
        differences={
            name: _difference([(song[name], song[first]) for song in songs], metric)
            for name in others
        },
    )


def _difference(pairs: Sequence[tuple[float, float]], metric: str) -> Difference:
    """Return how the first values of ``pairs`` (one per song) differ from the second."""
    # Equal infinities differ by 0, not by NaN.
    differences = np.array([0.0 if own == other else own - other for own, other in pairs])
    better = -differences if metric in LOWER_IS_BETTER else differences
    return Difference(
        median=median(differences),
        wins=int(np.count_nonzero(better > 0)),
        losses=int(np.count_nonzero(better < 0)),
    )


def _best(values: Mapping[str, float], metric: str) -> tuple[str, ...]:
    answered = [value for value in values.values() if not math.isnan(value)]
    if len(set(answered)) < 2:
        return ()
    best = min(answered) if metric in LOWER_IS_BETTER else max(answered)
    return tuple(name for name, value in values.items() if value == best)
