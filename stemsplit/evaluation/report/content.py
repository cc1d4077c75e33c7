"""Prepare the content about songs and stems for the template of the report page."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from stemsplit.data.stems import StemFiles
from stemsplit.errors import printable
from stemsplit.evaluation.report.charts import (
    RANGE,
    draw_field,
    draw_frames,
    frame_limits,
    frequency_marks,
)
from stemsplit.evaluation.report.clip import AudioClip, cut_clip
from stemsplit.evaluation.report.explanations import GROUPS, MEASURES, METRICS, Explained
from stemsplit.evaluation.report.findings import (
    describe_error,
    describe_faults,
    describe_song,
    find_lowest,
)
from stemsplit.evaluation.report.player import list_versions, show_mixture, show_stems
from stemsplit.evaluation.report.published import Metric, published_scores
from stemsplit.evaluation.report.tables import (
    StemSummary,
    average,
    decibel,
    pool,
    song_values,
    summarise,
)
from stemsplit.evaluation.scores import BSS_EVAL, SongScores, StemMeasures, StemScores

#: Settings that only identify runs, or that the page shows elsewhere.
HIDDEN_SETTINGS = ("files", "window", "hop", "bss_eval")
#: Our metric for each metric of published scores.
OWN: Mapping[Metric, str] = {"cSDR": "sdr", "uSDR": "global_sdr"}
#: Colours of stems in the style of the page.
STEM_COLOURS = 8


def figure(value: float | None, decimals: int = 2) -> str:
    """Return ``value`` for the page: "−3.10", "∞", or "–" for None and NaN."""
    if value is None or math.isnan(value):
        return "–"
    return decibel(value, decimals).replace("-", "−").replace("inf", "∞")


def clock(seconds: float) -> str:
    """Return ``seconds`` as m:ss."""
    minutes, second = divmod(round(seconds), 60)
    return f"{minutes}:{second:02}"


def show_overview(songs: Sequence[SongScores]) -> dict[str, Any]:
    """Return the table of scores over all ``songs``."""
    return _score_table(summarise(songs), pool(songs), _unreproducible(songs))


def show_song(song: SongScores, seconds: float | None) -> dict[str, Any]:
    """Return all content about ``song``; ``seconds`` of it can be played (None: figures only)."""
    values = song_values(song)
    clip = cut_clip(song, seconds) if seconds and song.estimates else None
    first = clip.start / song.sample_rate if clip else 0.0
    length = clip.frames / song.sample_rate if clip else 0.0
    names = list(dict.fromkeys([*(stem.name for stem in song.scores), *song.estimates]))
    sounds = show_stems(clip, song.sample_rate) if clip else {}
    charts = _draw_charts(song, clip) if seconds is not None else {}
    return {
        "name": printable(song.song),
        "song": song,
        "remarks": [printable(remark) for remark in describe_song(song, figure)],
        "length": song.frames / song.sample_rate,
        "table": _score_table(values, pool([song]), _unreproducible([song])) if values else None,
        "lede": [(printable(stem.name), stem.values["global_sdr"]) for stem in values],
        "stems": [
            _show_stem(name, number, song, first, length)
            | {"charts": charts.get(name), "sounds": sounds.get(name)}
            for number, name in enumerate(names)
        ],
        "first": first,
        "last": first + length,
        "whole": clip is None or clip.frames == song.frames,
        "marks": frequency_marks(song.sample_rate),
        "shadow": RANGE,
        "versions": list_versions(song, clip),
        "song_sounds": show_mixture(clip, song.sample_rate) if clip else None,
        "playable": bool(clip),
        "shown": seconds is not None,
        "measures": _measures_table(song.measures),
        "mixture": _place(song.mixture),
        "settings": {
            printable(name): printable(_setting(value))
            for name, value in song.settings.items()
            if name not in HIDDEN_SETTINGS and value not in ({}, [])
        },
    }


def _show_stem(
    name: str, number: int, song: SongScores, first: float, length: float
) -> dict[str, Any]:
    """Return the content about one stem of ``song``, except its charts and sounds."""
    scores = next((stem for stem in song.scores if stem.name == name), None)
    summary = next((stem for stem in song_values(song) if stem.name == name), None)
    return {
        "name": printable(name),
        "colour": number % STEM_COLOURS,
        "scored": summary.values if summary else None,
        "silent": summary.silent_frames if summary else 0,
        "frames": summary.frames if summary else 0,
        "estimate": _place(song.estimates.get(name)),
        "reference": _place(song.references.get(name)),
        "reading": None if scores is None else _read(scores, song, first, length),
    }


def _draw_charts(song: SongScores, clip: AudioClip | None) -> dict[str, tuple[str, str]]:
    """Return the charts of BSS Eval over time by stem; they mark the part that can be played."""
    part = None
    if clip is not None and clip.frames < song.frames:
        part = clip.start / song.sample_rate, (clip.start + clip.frames) / song.sample_rate
    limits = frame_limits(song.scores)
    return {
        stem.name: draw_frames(stem, song.window, song.hop, limits, part)
        for stem in song.scores
        if stem.sdr.size
    }


def _read(stem: StemScores, song: SongScores, first: float, length: float) -> dict[str, Any]:
    """Return the faults of ``stem`` in words, and the time of its lowest SDR.

    That time is within the part that can be played, ``length`` s from ``first``: errors there are
    loud, while the lowest SDR of the whole song is often in a nearly silent part of the stem.
    """
    begin, end = math.ceil(first / song.hop), math.ceil((first + length) / song.hop)
    lowest = find_lowest(stem, begin, end) if length else find_lowest(stem)
    second = 0.0 if lowest is None else lowest * song.hop
    return {
        "faults": list(describe_faults(stem, song.sample_rate)),
        "lowest": None if lowest is None else float(stem.sdr[lowest]),
        "second": second,
        "position": second - first if length else None,
        "error": None if {"sir", "sar"} & {*song.unreproducible} else describe_error(stem, figure),
    }


def _place(files: StemFiles | None) -> str:
    """Return the names of ``files`` with their folder."""
    if files is None:
        return ""
    folders = {path.absolute().parent.name for path in files.paths}
    return printable(f"{folders.pop()}/{files}" if len(folders) == 1 else files)


def show_published(metric: Metric, summaries: Sequence[StemSummary]) -> dict[str, Any] | None:
    """Return published scores of our stems in ``metric`` with a row of ours, or None."""
    own = {
        stem.name: stem.values[OWN[metric]]
        for stem in summaries
        if math.isfinite(stem.values[OWN[metric]])
    }
    entries = [entry for entry in published_scores(metric) if own.keys() & entry.values.keys()]
    stems = [name for name in own if any(name in entry.values for entry in entries)]
    if not stems:
        return None
    rows = [_published_row(entry.method, entry.values, stems, entry.source) for entry in entries]
    rows.append(_published_row("", own, stems, ""))
    rows.sort(key=lambda row: -row["average"] if math.isfinite(row["average"]) else math.inf)
    points = {
        name: (own[name], [entry.values[name] for entry in entries if name in entry.values])
        for name in stems
    }
    return {
        "metric": metric,
        "stems": [printable(name) for name in stems],
        "rows": rows,
        "chart": draw_field(points),
    }


def _published_row(
    method: str, values: Mapping[str, float], stems: Sequence[str], source: str
) -> dict[str, Any]:
    found = [values.get(name, math.nan) for name in stems]
    return {
        "method": method,
        "values": found,
        "average": sum(found) / len(found),
        "source": source,
        "linked": source.startswith("https://"),
    }


def _unreproducible(songs: Sequence[SongScores]) -> set[str]:
    """Return the metrics that depend on rounding in one of ``songs``."""
    return {metric for song in songs for metric in song.unreproducible}


def _score_table(
    summaries: Sequence[StemSummary], together: StemSummary, unreproducible: Collection[str]
) -> dict[str, Any]:
    """Return rows of figures by metric, with columns for each stem, their average, and all.

    Only BSS Eval has the last column: for all other figures, it would equal the average.
    """
    return {
        "unreproducible": unreproducible,
        "stems": [printable(stem.name) for stem in summaries],
        "groups": [
            (
                title,
                [
                    (
                        metric,
                        [stem.values[metric.key] for stem in summaries],
                        average(summaries, metric.key),
                        together.values[metric.key] if metric.key in BSS_EVAL else None,
                    )
                    for metric in METRICS
                    if metric.group == group
                ],
            )
            for group, title in GROUPS.items()
        ],
    }


def _measures_table(stems: Sequence[StemMeasures]) -> dict[str, Any] | None:
    if not stems:
        return None
    pairs = [
        (
            printable(a.name),
            printable(b.name),
            a.correlation.get(b.name, math.nan),
            np.fmax(a.overlap[b.name], b.overlap[a.name]),
        )
        for a, b in itertools.combinations(stems, 2)
        if b.name in a.overlap
    ]
    pairs.sort(key=lambda pair: -np.nan_to_num(pair[-1], nan=-1.0))
    return {
        "stems": [printable(stem.name) for stem in stems],
        "rows": [(measure, [_measure(stem, measure) for stem in stems]) for measure in MEASURES],
        "pairs": pairs,
    }


def _measure(stem: StemMeasures, measure: Explained) -> str:
    value = getattr(stem, measure.key)
    return str(value) if isinstance(value, int) else figure(value, 1)


def _setting(value: Any) -> str:
    if value is None:
        return "model default"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_setting(item)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_setting(item) for item in value)
    return str(value)
