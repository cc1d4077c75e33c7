"""Write the report page: a single HTML file that shows and plays songs, without any network."""

from __future__ import annotations

import base64
import hashlib
import itertools
import math
import re
from collections.abc import Callable, Sequence
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from stemsplit.audio.atomic import write_text
from stemsplit.errors import printable
from stemsplit.evaluation.report.charts import draw_scale
from stemsplit.evaluation.report.clip import BITRATE
from stemsplit.evaluation.report.content import (
    clock,
    data_url,
    figure,
    show_overview,
    show_published,
    show_song,
)
from stemsplit.evaluation.report.explanations import GROUPS, MEASURES, METRICS
from stemsplit.evaluation.report.published import METRICS as PUBLISHED_METRICS
from stemsplit.evaluation.report.spread import show_spread
from stemsplit.evaluation.report.tables import summarise
from stemsplit.evaluation.scores import SongScores
from stemsplit.version import __version__

#: Seconds of a song that can be played and seen, if the page is not too large.
SECONDS = 30.0
#: Seconds of audio in a page, over all songs, stems and versions: 7.7 MB at 128 kbit/s, which are
#: 10 MB as text. Larger pages open slowly.
MOST_AUDIO = 480.0
#: Of many songs, only this many are shown over time and can be played: those with the worst scores.
SHOWN_SONGS = 3
#: Pairs of stems to show at once: all those of four stems, and the most similar ones of more.
SHOWN_PAIRS = 8


def write_report(path: Path, songs: Sequence[SongScores]) -> None:
    """Write a page about ``songs`` to ``path``, and replace an existing file.

    Raises ``ValueError`` without songs, ``OutputError`` where the page cannot be written, and
    ``InputError`` where a stem cannot be read again.
    """
    write_text(path, render(songs))


def render(songs: Sequence[SongScores]) -> str:
    """Return the page that ``write_report`` writes."""
    import jinja2
    from markupsafe import Markup

    if not songs:
        raise ValueError("a report needs a song")
    shown, seconds = choose_shown(songs)
    summaries = summarise(songs)
    style, script = (_asset(f"page.{ending}") for ending in ("css", "js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    # Only this function makes Markup; everything that comes from files is escaped.
    environment.filters |= {"figure": figure, "clock": clock, "svg": _numbered(Markup)}
    return environment.from_string(_asset("page.html")).render(
        title=printable(songs[0].song) if len(songs) == 1 else f"{len(songs)} songs",
        style=Markup(style),
        script=Markup(script),
        digest=digest,
        version=__version__,
        below=[f"{name} {metadata.version(name)}" for name in ("torch", "numpy", "matplotlib")],
        songs=[
            show_song(song, seconds if any(song is one for one in shown) else None)
            for song in songs
        ],
        overview=show_overview(songs) if len(songs) > 1 else None,
        spread=show_spread(songs) if len(songs) > 1 else [],
        field=[p for metric in PUBLISHED_METRICS if (p := show_published(metric, summaries))],
        groups=GROUPS,
        metrics=METRICS,
        measures=MEASURES,
        scale=data_url("image/png", draw_scale()),
        bitrate=BITRATE,
        most=SHOWN_SONGS,
        most_pairs=SHOWN_PAIRS,
        several_stems=len(summaries) > 1,
        scored=any(song.scores for song in songs),
        measured=any(song.measures for song in songs),
    )


def choose_shown(songs: Sequence[SongScores]) -> tuple[list[SongScores], float]:
    """Return the songs to show over time, and how many seconds of each can be played.

    Of many songs these are the ones with the lowest mean global SDR, and they share ``SECONDS``.
    Many stems make the seconds fewer, to limit the size of the page.
    """
    shown = sorted(songs, key=_mean_global_sdr)[:SHOWN_SONGS]
    signals = sum(len(song.estimates) + 2 * len(song.references) for song in shown)
    return shown, min(SECONDS / len(shown), MOST_AUDIO / max(signals, 1))


def _mean_global_sdr(song: SongScores) -> float:
    values = [stem.global_sdr for stem in song.scores if not math.isnan(stem.global_sdr)]
    return sum(values) / len(values) if values else math.inf


def _numbered(mark: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return a filter that marks an SVG as safe and makes the ids in it unique to it."""
    numbers = itertools.count(1)
    names = re.compile(r"(id=\"|url\(#|href=\"#)")

    def inline(svg: str) -> Any:
        return mark(names.sub(rf"\1s{next(numbers)}-", svg))

    return inline


def _asset(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
