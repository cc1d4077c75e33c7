"""Prepare box plots of each metric over the songs of a data set."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from stemsplit.errors import printable
from stemsplit.evaluation.report.charts import draw_boxes
from stemsplit.evaluation.report.content import figure
from stemsplit.evaluation.report.explanations import GROUPS, METRICS, Explained
from stemsplit.evaluation.report.tables import StemSummary, combine, song_values
from stemsplit.evaluation.scores import SongScores

#: A metric, the chart in words, and as an SVG.
Boxes = tuple[Explained, str, str]


def show_spread(songs: Sequence[SongScores]) -> list[tuple[str, list[Boxes]]]:
    """Return the charts of each group of metrics with its title; none without any value."""
    values = [song_values(song) for song in songs]
    summaries = combine(values)
    charts = {
        title: list(_draw([m for m in METRICS if m.group == group], summaries, values))
        for group, title in GROUPS.items()
    }
    return [(title, found) for title, found in charts.items() if found]


def _draw(
    metrics: Sequence[Explained],
    summaries: Sequence[StemSummary],
    songs: Sequence[Sequence[StemSummary]],
) -> Iterator[Boxes]:
    """Yield the charts of ``metrics`` with a box for each stem of ``summaries``."""
    for metric in metrics:
        by_stem: dict[str, list[float]] = {stem.name: [] for stem in summaries}
        for song in songs:
            for stem in song:
                by_stem[stem.name].append(stem.values[metric.key])
        if any(math.isfinite(value) for values in by_stem.values() for value in values):
            yield metric, _describe(metric, summaries), draw_boxes(by_stem)


def _describe(metric: Explained, summaries: Sequence[StemSummary]) -> str:
    """Return a description of the chart of ``metric``, for readers who cannot see it."""
    stems = (
        f"{printable(stem.name)} {figure(stem.values[metric.key], metric.decimals)}"
        for stem in summaries
    )
    return f"{metric.name} over songs, a box for each stem: {', '.join(stems)}"
