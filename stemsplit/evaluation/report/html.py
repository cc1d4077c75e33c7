"""Write the report page: a single HTML file that shows and plays songs offline."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from stemsplit.audio.atomic import write_text
from stemsplit.errors import printable
from stemsplit.evaluation.report.clip import played_mixture
from stemsplit.evaluation.report.content import (
    show_overview,
    show_published,
    show_song,
)
from stemsplit.evaluation.report.explanations import MEASURES
from stemsplit.evaluation.report.published import METRICS as PUBLISHED_METRICS
from stemsplit.evaluation.report.spread import show_spread
from stemsplit.evaluation.report.tables import summarise
from stemsplit.evaluation.report.template import fill
from stemsplit.evaluation.scores import SongScores

#: Seconds of a song that can be played and seen, if the page is not too large.
SECONDS = 30.0
#: Seconds of audio in a page, over all songs, stems and versions: 7.7 MB at 128 kbit/s, which are
#: 10 MB as text. Larger pages open slowly.
MOST_AUDIO = 480.0
#: At most this many songs are shown over time and can be played: those with the worst scores.
SHOWN_SONGS = 3
#: Pairs of stems to show at once: all those of four stems, and the most similar ones of more.
SHOWN_PAIRS = 8


def write_report(path: Path, songs: Sequence[SongScores]) -> None:
    """Write a page about ``songs`` to ``path``, and replace an existing file.

    Raises ``ValueError`` without songs, ``OutputError`` if the page cannot be written, and
    ``InputError`` if a stem cannot be read again.
    """
    write_text(path, render(songs))


def render(songs: Sequence[SongScores]) -> str:
    """Return the page that ``write_report`` writes."""
    if not songs:
        raise ValueError("a report needs a song")
    shown, seconds = choose_shown(songs)
    summaries = summarise(songs)
    return fill(
        "page.html",
        title=printable(songs[0].song) if len(songs) == 1 else f"{len(songs)} songs",
        songs=[
            show_song(song, seconds if any(song is one for one in shown) else None)
            for song in songs
        ],
        overview=show_overview(songs) if len(songs) > 1 else None,
        spread=show_spread(songs) if len(songs) > 1 else [],
        field=[p for metric in PUBLISHED_METRICS if (p := show_published(metric, summaries))],
        measures=MEASURES,
        most=SHOWN_SONGS,
        most_pairs=SHOWN_PAIRS,
        several_stems=len(summaries) > 1,
        scored=any(song.scores for song in songs),
        measured=any(song.measures for song in songs),
    )


def choose_shown(songs: Sequence[SongScores]) -> tuple[list[SongScores], float]:
    """Return the songs to show over time, and how many seconds of each can be played.

    Of many songs, those with the lowest mean global SDR are chosen, and share ``SECONDS``. With
    many stems, the time is shortened to limit the size of the page.
    """
    shown = sorted(songs, key=mean_global_sdr)[:SHOWN_SONGS]
    signals = sum(
        len(song.estimates) + 2 * len(song.references) + (played_mixture(song) is not None)
        for song in shown
    )
    return shown, min(SECONDS / len(shown), MOST_AUDIO / max(signals, 1))


def mean_global_sdr(song: SongScores) -> float:
    """Return the mean over stems of ``song``; undefined values are left out, ∞ if all are."""
    values = [stem.global_sdr for stem in song.scores if not math.isnan(stem.global_sdr)]
    return sum(values) / len(values) if values else math.inf
