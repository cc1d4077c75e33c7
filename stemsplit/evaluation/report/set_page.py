"""Write the page that compares sets of stems: scores side by side, and a player for all sets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stemsplit.audio.atomic import write_text
from stemsplit.errors import printable
from stemsplit.evaluation.report.charts import (
    FAINT,
    INK,
    RANGE,
    STEM,
    Curve,
    draw_curves,
    frequency_marks,
    limits_of,
)
from stemsplit.evaluation.report.clip import MIXTURE, REFERENCE, AudioClip, cut_sets, set_version
from stemsplit.evaluation.report.content import STEM_COLOURS, figure
from stemsplit.evaluation.report.explanations import GROUPS, METRICS, Explained
from stemsplit.evaluation.report.findings import describe_sets
from stemsplit.evaluation.report.html import (
    MOST_AUDIO,
    SECONDS,
    SHOWN_SONGS,
    mean_global_sdr,
)
from stemsplit.evaluation.report.player import show_mixture, show_sounds
from stemsplit.evaluation.report.stem_sets import (
    ComparedSong,
    MetricRow,
    average_row,
    compare_sets,
    letter,
)
from stemsplit.evaluation.report.template import fill
from stemsplit.evaluation.scores import StemScores, median

#: How the curve of each set is drawn, in turn: colour, dashes, width.
CURVES = (
    (STEM, (), 2.0),
    (INK, (5, 2), 1.3),
    (INK, (1, 2), 1.3),
    (FAINT, (5, 2, 1, 2), 1.3),
)


def write_set_report(path: Path, songs: Sequence[ComparedSong]) -> None:
    """Write a page that compares the sets of ``songs`` to ``path``; replace an existing file.

    Raises the same errors as ``write_report``.
    """
    write_text(path, render_sets(songs))


def render_sets(songs: Sequence[ComparedSong]) -> str:
    """Return the page that ``write_set_report`` writes; raises ``ValueError`` if no songs."""
    if not songs:
        raise ValueError("a report needs a song")
    names = list(songs[0].sets)
    shown, seconds = choose_shown_sets(songs)
    return fill(
        "sets.html",
        title=printable(", ".join(names)),
        sets=[_show_set(name, number) for number, name in enumerate(names)],
        groups_of_tables=[
            (title, [_metric_table(songs, metric) for metric in METRICS if metric.group == group])
            for group, title in GROUPS.items()
        ],
        songs=[
            _show_song(song, seconds if any(song is one for one in shown) else None)
            for song in songs
        ],
    )


def choose_shown_sets(songs: Sequence[ComparedSong]) -> tuple[list[ComparedSong], float]:
    """Return the songs to play, and how many seconds of each, as ``choose_shown`` does.

    If there are many, these are the songs in which the mean global SDR of the sets differs most.
    """
    shown = sorted(songs, key=_spread, reverse=True)[:SHOWN_SONGS]
    signals = sum((len(song.sets) + 1) * len(song.first.scores) + 1 for song in shown)
    return shown, min(SECONDS / len(shown), MOST_AUDIO / signals)


def _spread(song: ComparedSong) -> float:
    means = map(mean_global_sdr, song.sets.values())
    finite = [mean for mean in means if math.isfinite(mean)]
    return max(finite) - min(finite) if finite else 0.0


def _show_set(name: str, number: int) -> dict[str, Any]:
    _, dashes, _ = CURVES[number % len(CURVES)]
    return {
        "name": printable(name),
        "letter": letter(number),
        "dash": " ".join(map(str, dashes)),
    }


def _metric_table(songs: Sequence[ComparedSong], metric: Explained) -> dict[str, Any]:
    rows = compare_sets(songs, metric.key)
    shown = [_show_row(row, metric.decimals) for row in rows]
    if len(rows) > 1:
        shown.append(_show_row(average_row(rows, metric.key), metric.decimals) | {"average": True})
    return {"metric": metric, "rows": shown}


def _show_row(row: MetricRow, decimals: int = 2) -> dict[str, Any]:
    """Return the cells of ``row``: each value and whether it is the best, and differences."""
    return {
        "stem": printable(row.stem),
        "average": False,
        "cells": [
            (figure(value, decimals), name in row.best) for name, value in row.values.items()
        ],
        "differences": [
            (_signed(each.median, decimals), f"{each.wins} : {each.losses}")
            for each in row.differences.values()
        ],
    }


def _signed(value: float, decimals: int) -> str:
    text = figure(value, decimals)
    return f"+{text}" if round(value, decimals) > 0 else text


def _show_song(song: ComparedSong, seconds: float | None) -> dict[str, Any]:
    """Return the content for ``song``, of which ``seconds`` can be played (None: none)."""
    first = song.first
    row = average_row(compare_sets([song], "sdr"), "sdr")
    content = {
        "name": printable(song.name),
        "remarks": [printable(remark) for remark in describe_sets(song, figure)],
        "means": _show_row(row),
        "window": first.window,
        "hop": first.hop,
        "places": _places(song),
        "playable": seconds is not None,
    }
    if seconds is not None:
        content |= _show_clip(song, cut_sets(song, seconds))
    return content


def _places(song: ComparedSong) -> dict[str, str]:
    """Return the folders of each set and of the references, by name."""
    first = song.first
    files = {name: scores.estimates for name, scores in song.sets.items()}
    found = {}
    for name, stems in {**files, "reference": first.references}.items():
        folders = {str(path.parent) for each in stems.values() for path in each.paths}
        found[printable(name)] = printable(", ".join(sorted(folders)))
    return found


def _show_clip(song: ComparedSong, clip: AudioClip) -> dict[str, Any]:
    """Return the content of the player of ``song``."""
    first = song.first
    rate = first.sample_rate
    letters = {set_version(number): letter(number) for number in range(len(song.sets))}
    letters[REFERENCE] = "Reference"
    labels = {
        version: f"{letters[version]}: {printable(name)}"
        for version, name in zip(letters, song.sets, strict=False)
    }
    labels[REFERENCE] = "Reference"
    part = (clip.start / rate, (clip.start + clip.frames) / rate)
    whole = clip.frames >= first.frames
    charts = _draw_charts(song, None if whole else part)
    return {
        "first": part[0],
        "last": part[1],
        "whole": whole,
        "marks": frequency_marks(rate),
        "shadow": RANGE,
        "versions": labels | ({} if clip.mixture is None else {MIXTURE: "Song"}),
        "song_sounds": show_mixture(clip, rate),
        "stems": [
            {
                "name": printable(stem),
                "colour": number % STEM_COLOURS,
                "sdr": [figure(median(scores[number].sdr), 1) for scores in _scores(song)],
                "versions": letters,
                "chart": charts[number],
                "sounds": show_sounds(clip.signals[stem], rate, labels),
            }
            for number, stem in enumerate(clip.signals)
        ],
    }


def _scores(song: ComparedSong) -> list[tuple[StemScores, ...]]:
    return [scores.scores for scores in song.sets.values()]


def _draw_charts(song: ComparedSong, part: tuple[float, float] | None) -> list[tuple[str, str]]:
    """Return the charts of SDR over time, one per stem, with a curve for each set."""
    first = song.first
    limits = limits_of([stem.sdr for scores in _scores(song) for stem in scores])
    drawn = []
    for stems in zip(*_scores(song), strict=True):
        curves = [
            Curve(stem.sdr, *CURVES[number % len(CURVES)]) for number, stem in enumerate(stems)
        ]
        drawn.append(draw_curves(curves, first.window, first.hop, limits, part))
    return drawn
