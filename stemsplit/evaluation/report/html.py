"""One page that shows and plays what was found: a file for itself, which needs no network."""

from __future__ import annotations

import base64
import hashlib
import itertools
import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import numpy as np

from stemsplit.audio.atomic import write_text
from stemsplit.data.stems import StemFiles
from stemsplit.errors import printable
from stemsplit.evaluation.report import charts
from stemsplit.evaluation.report import sample as excerpt
from stemsplit.evaluation.report.explanations import GROUPS, MEASURES, METRICS, Explained
from stemsplit.evaluation.report.findings import (
    describe_error,
    describe_faults,
    describe_song,
    find_lowest,
)
from stemsplit.evaluation.report.published import METRICS as PUBLISHED_METRICS
from stemsplit.evaluation.report.published import Metric, published_scores
from stemsplit.evaluation.report.tables import (
    StemSummary,
    average,
    decibel,
    song_values,
    summarise,
)
from stemsplit.evaluation.scores import SongScores, StemMeasures, StemScores
from stemsplit.version import __version__

SECONDS = 30.0
#: Seconds of sound in a page, over all songs, stems and versions: 7.7 MB at 128 kbit/s, and 10 MB
#: as text. More than that is slow to open.
MOST_SOUND = 480.0
#: Of many songs, those with the worst scores can be seen over time and heard: so many.
SHOWN_SONGS = 3
#: Pairs of stems that are seen at once: all those of four stems, and of more the most alike.
SHOWN_PAIRS = 8
#: Settings that tell runs apart, which a page says more clearly or not at all.
UNSEEN = ("files", "window", "hop", "bss_eval")
#: Which figure of ours is what others publish.
OWN: Mapping[Metric, str] = {"cSDR": "sdr", "uSDR": "global_sdr"}


def write_report(path: Path, songs: Sequence[SongScores], *, seconds: float = SECONDS) -> None:
    """Write a page about ``songs`` to ``path``; a file that is there is replaced.

    ``seconds`` are those that can be heard and seen of a song (see `choose_shown`). Raises
    ``ValueError`` without songs, ``OutputError`` where the page cannot be written, and
    ``InputError`` where a stem cannot be read again.
    """
    write_text(path, render(songs, seconds=seconds))


def render(songs: Sequence[SongScores], *, seconds: float = SECONDS) -> str:
    """Return the page that `write_report` writes."""
    import jinja2
    from markupsafe import Markup

    if not songs:
        raise ValueError("a report needs a song")
    shown, seconds = choose_shown(songs, seconds)
    summaries = summarise(songs)
    style, script = (_asset(f"page.{ending}") for ending in ("css", "js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    # Markup is made here and nowhere else; all that comes from files is escaped.
    environment.filters |= {"figure": figure, "clock": clock, "svg": _numbered(Markup)}
    return environment.from_string(_asset("page.html")).render(
        title=printable(songs[0].song) if len(songs) == 1 else f"{len(songs)} songs",
        style=Markup(style),
        script=Markup(script),
        digest=digest,
        version=__version__,
        below=[f"{name} {metadata.version(name)}" for name in ("torch", "numpy", "matplotlib")],
        songs=[
            _show_song(song, seconds if any(song is one for one in shown) else None)
            for song in songs
        ],
        overview=_score_table(summaries, _unsure(songs)) if len(songs) > 1 else None,
        field=[f for metric in PUBLISHED_METRICS if (f := _show_field(metric, summaries))],
        groups=GROUPS,
        metrics=METRICS,
        measures=MEASURES,
        scale=_data_url("image/png", charts.draw_scale()),
        bitrate=excerpt.BITRATE,
        most=SHOWN_SONGS,
        most_pairs=SHOWN_PAIRS,
        scored=any(song.scores for song in songs),
        measured=any(song.measures for song in songs),
    )


def choose_shown(songs: Sequence[SongScores], seconds: float) -> tuple[list[SongScores], float]:
    """Return the songs that are shown over time, and how many seconds can be heard of each.

    Of many songs these are the three with the lowest mean global SDR, and they share ``seconds``.
    There are fewer seconds where many stems would make the page too large.
    """
    shown = sorted(songs, key=_how_good)[:SHOWN_SONGS]
    signals = sum(len(song.estimates) + 2 * len(song.references) for song in shown)
    return shown, min(seconds / len(shown), MOST_SOUND / max(signals, 1))


def figure(value: float | None, decimals: int = 2) -> str:
    """Return ``value`` as it is printed: "−3.10", "∞", or "–" where there is none."""
    if value is None or math.isnan(value):
        return "–"
    return decibel(value, decimals).replace("-", "−").replace("inf", "∞")


def clock(seconds: float) -> str:
    """Return ``seconds`` as m:ss."""
    minutes, second = divmod(round(seconds), 60)
    return f"{minutes}:{second:02}"


def _how_good(song: SongScores) -> float:
    values = [stem.global_sdr for stem in song.scores if not math.isnan(stem.global_sdr)]
    return sum(values) / len(values) if values else math.inf


def _show_song(song: SongScores, seconds: float | None) -> dict[str, Any]:
    """Return all that the page says of ``song``; None ``seconds``: its figures alone."""
    values = song_values(song)
    limits = charts.frame_limits(song.scores)
    cut = excerpt.cut_excerpt(song, seconds) if seconds and song.estimates else None
    first = cut.start / song.sample_rate if cut else 0.0
    length = cut.frames / song.sample_rate if cut else 0.0
    names = list(dict.fromkeys([*(stem.name for stem in song.scores), *song.estimates]))
    sounds = _show_sounds(cut, song.sample_rate) if cut else {}
    stems = []
    for number, name in enumerate(names):
        scores = next((stem for stem in song.scores if stem.name == name), None)
        drawn = None
        if seconds is not None and scores is not None and scores.sdr.size:
            part = None if cut is None or cut.frames == song.frames else (first, first + length)
            drawn = charts.draw_frames(scores, song.window, song.hop, limits, part)
        own = next((stem for stem in values if stem.name == name), None)
        stems.append(
            {
                "name": printable(name),
                "colour": number % 8,
                "scored": own.values if own else None,
                "silent": own.silent_frames if own else 0,
                "frames": own.frames if own else 0,
                "charts": drawn,
                "sounds": sounds.get(name),
                "estimate": _place(song.estimates.get(name)),
                "reference": _place(song.references.get(name)),
                "reading": None if scores is None else _read(scores, song, first, length),
            }
        )
    return {
        "name": printable(song.song),
        "song": song,
        "remarks": [printable(remark) for remark in describe_song(song, figure)],
        "length": song.frames / song.sample_rate,
        "table": _score_table(values, _unsure([song])) if values else None,
        "lede": [(printable(stem.name), stem.values["global_sdr"]) for stem in values],
        "stems": stems,
        "first": first,
        "last": first + length,
        "whole": cut is None or cut.frames == song.frames,
        "marks": charts.frequency_marks(song.sample_rate),
        "shadow": charts.RANGE,
        "switch": bool(cut and song.references),
        "heard": bool(cut),
        "shown": seconds is not None,
        "measures": _measures_table(song.measures),
        "mixture": _place(song.mixture),
        "settings": {
            printable(name): printable(_setting(value))
            for name, value in song.settings.items()
            if name not in UNSEEN and value not in ({}, [])
        },
    }


def _read(stem: StemScores, song: SongScores, first: float, length: float) -> dict[str, Any]:
    """Return what is wrong with ``stem`` in words, and where.

    That is a place in the part that is heard, ``length`` s from ``first`` on: the errors are loud
    there, while the lowest SDR of a song is often that of a stem that hardly plays.
    """
    begin, end = math.ceil(first / song.hop), math.ceil((first + length) / song.hop)
    lowest = find_lowest(stem, begin, end) if length else find_lowest(stem)
    second = 0.0 if lowest is None else lowest * song.hop
    return {
        "faults": list(describe_faults(stem, song.sample_rate)),
        "lowest": None if lowest is None else float(stem.sdr[lowest]),
        "second": second,
        "heard": second - first if length else None,
        "error": None if {"sir", "sar"} & {*song.unreproducible} else describe_error(stem, figure),
    }


def _place(audio: StemFiles | None) -> str:
    """Return the names of the files of ``audio``, with the folder that they are in."""
    if audio is None:
        return ""
    folders = {path.absolute().parent.name for path in audio.paths}
    return printable(f"{folders.pop()}/{audio}" if len(folders) == 1 else audio)


def _show_sounds(cut: excerpt.Excerpt, sample_rate: int) -> dict[str, dict[str, Any]]:
    """Return, by stem, what can be heard and seen of it: by version, addresses of data."""
    shown = {}
    for name, signals in cut.signals.items():
        pictures, brightest = charts.draw_spectrograms(list(signals.values()), sample_rate)
        shown[name] = {
            "brightest": brightest,
            "versions": [
                {
                    "name": version,
                    "sound": base64.b64encode(excerpt.encode_opus(signal, sample_rate)).decode(),
                    "picture": _data_url("image/png", picture),
                }
                for (version, signal), picture in zip(signals.items(), pictures, strict=True)
            ],
        }
    return shown


def _show_field(metric: Metric, summaries: Sequence[StemSummary]) -> dict[str, Any] | None:
    """Return what is published in ``metric`` about our stems, with our own row; None for none."""
    own = {
        stem.name: stem.values[OWN[metric]]
        for stem in summaries
        if math.isfinite(stem.values[OWN[metric]])
    }
    entries = [entry for entry in published_scores(metric) if own.keys() & entry.values.keys()]
    stems = [name for name in own if any(name in entry.values for entry in entries)]
    if not stems:
        return None
    rows = [_field_row(entry.method, entry.values, stems, entry.source) for entry in entries]
    rows.append(_field_row("", own, stems, ""))
    rows.sort(key=lambda row: -row["average"] if math.isfinite(row["average"]) else math.inf)
    points = {
        name: (own[name], [entry.values[name] for entry in entries if name in entry.values])
        for name in stems
    }
    return {
        "metric": metric,
        "stems": [printable(name) for name in stems],
        "rows": rows,
        "chart": charts.draw_field(points),
    }


def _field_row(
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


def _unsure(songs: Sequence[SongScores]) -> set[str]:
    """Return the metrics that rounding decides in one of ``songs``."""
    return {metric for song in songs for metric in song.unreproducible}


def _score_table(summaries: Sequence[StemSummary], unsure: Collection[str]) -> dict[str, Any]:
    """Return rows of figures by metric, a column for each stem and one for their average."""
    return {
        "unsure": unsure,
        "stems": [printable(stem.name) for stem in summaries],
        "groups": [
            (
                title,
                [
                    (
                        metric,
                        [stem.values[metric.key] for stem in summaries],
                        average(summaries, metric.key),
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
        return "the model's own"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_setting(item)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_setting(item) for item in value)
    return str(value)


def _numbered(mark: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return a filter that marks an SVG as safe and makes the names of its parts its own."""
    numbers = itertools.count(1)
    names = re.compile(r"(id=\"|url\(#|href=\"#)")

    def inline(svg: str) -> Any:
        return mark(names.sub(rf"\1s{next(numbers)}-", svg))

    return inline


def _asset(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _data_url(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
