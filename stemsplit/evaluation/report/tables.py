"""Summarise the scores of many songs, as CSV and as a row of Markdown."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from stemsplit.errors import printable
from stemsplit.evaluation.scores import (
    BSS_EVAL,
    LEADERBOARD,
    WHOLE_STEM,
    Frames,
    SongScores,
    median,
)

#: How formulas begin, including the full-width characters of East Asian spreadsheets.
FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
#: Columns of the CSV, one line for each stem of each song; later versions append theirs.
COLUMNS = (
    "song", "stem", *BSS_EVAL, *(metric for metric in WHOLE_STEM if metric not in LEADERBOARD),
    "frames", "silent_frames", "delay", "inverted", "unreproducible", *LEADERBOARD,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class StemSummary:
    """The scores of one stem over the ``songs`` songs that have it.

    ``values`` by metric: for ``sdr``, ``isr``, ``sir``, ``sar`` the median over songs of the median
    over frames, as museval and papers report them; for all others the mean over songs.
    ``unanswered`` counts by metric the songs whose value is NaN, which are left out; a metric
    without any value is NaN. ``silent_frames`` of ``frames`` have no BSS Eval.
    """

    name: str
    songs: int
    values: Mapping[str, float]
    unanswered: Mapping[str, int]
    frames: int
    silent_frames: int


def summarise(songs: Sequence[SongScores]) -> list[StemSummary]:
    """Return a summary for each stem of ``songs``, in the order in which stems first appear."""
    return combine([song_values(song) for song in songs])


def combine(songs: Iterable[Sequence[StemSummary]]) -> list[StemSummary]:
    """Return what ``summarise`` does, from the ``song_values`` of each song."""
    by_stem: dict[str, list[StemSummary]] = {}
    for song in songs:
        for stem in song:
            by_stem.setdefault(stem.name, []).append(stem)
    return [_combine(name, stems) for name, stems in by_stem.items()]


def song_values(song: SongScores) -> list[StemSummary]:
    """Return a summary for each stem of one song: medians over frames, and the other figures."""
    found = []
    for stem in song.scores:
        values = {metric: median(getattr(stem, metric)) for metric in BSS_EVAL}
        values |= {metric: float(getattr(stem, metric)) for metric in WHOLE_STEM}
        found.append(
            StemSummary(
                name=stem.name,
                songs=1,
                values=values,
                unanswered={metric: int(math.isnan(v)) for metric, v in values.items()},
                frames=stem.sdr.size,
                silent_frames=int(np.count_nonzero(np.isnan(stem.sdr))),
            )
        )
    return found


def average(summaries: Iterable[StemSummary], metric: str) -> float:
    """Return the mean of ``metric`` over stems; NaN if it is undefined for a stem."""
    values = [stem.values[metric] for stem in summaries]
    return sum(values) / len(values) if values else math.nan


def pool(songs: Sequence[SongScores]) -> StemSummary:
    """Return a summary of all stems of all ``songs`` together, named "all".

    This is the column "All" in the tables of SiSEC (F.-R. Stöter, A. Liutkus and N. Ito, "The 2018
    signal separation evaluation campaign", LVA/ICA 2018). It is not the mean of the other columns:
    for BSS Eval, it is the median over the values of all stems and songs.
    """
    return _combine("all", [stem for song in songs for stem in song_values(song)])


def to_csv(songs: Sequence[SongScores]) -> str:
    """Return a table with ``COLUMNS``: a header, then one line for each stem of each song.

    Line breaks in names are escaped, and a name that looks like a formula (``=1+1``) is prefixed
    with an apostrophe, which makes it text. BSS Eval is the median over frames. NaN is an empty
    field, ±∞ are ``inf`` and ``-inf``; metrics that depend on rounding are separated by spaces.
    """
    return join_csv(COLUMNS, (row for song in songs for row in csv_rows(song)))


def join_csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table with a header of ``columns``, then these ``rows``."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


def csv_rows(song: SongScores) -> Iterator[tuple[object, ...]]:
    """Yield the values of ``COLUMNS`` for each stem of ``song``, as ``to_csv`` writes them."""
    for stem, summary in zip(song.scores, song_values(song), strict=True):
        cells: dict[str, object] = {
            metric: "" if math.isnan(value) else repr(value)
            for metric, value in summary.values.items()
        }
        cells |= {"song": harmless(song.song), "stem": harmless(stem.name)}
        cells |= {"frames": summary.frames, "silent_frames": summary.silent_frames}
        cells["delay"] = "" if stem.delay is None else stem.delay
        cells["inverted"] = int(stem.inverted)
        cells["unreproducible"] = " ".join(song.unreproducible)
        yield tuple(cells[column] for column in COLUMNS)


def harmless(name: str) -> str:
    """Return ``name``, escaped so that no spreadsheet interprets it as a formula."""
    text = printable(name)
    return f"'{text}" if text.lstrip().startswith(FORMULA) else text


def to_markdown(songs: Sequence[SongScores], label: str) -> str:
    """Return a Markdown table with one row, ``label``, to paste into a table of models.

    The columns are the SDR of BSS Eval (median of medians, dB) of each stem and the average, the
    same for global SDR (mean, dB), and finally the SDR of ``pool``. Undefined values are "-".
    """
    summaries = summarise(songs)
    names = [*(stem.name for stem in summaries), "average"]
    head = ["model", "songs", *(f"{_cell(n)} SDR" for n in names)]
    head += [f"{_cell(n)} global SDR" for n in names]
    row = [_cell(label), str(len(songs))]
    for metric in ("sdr", "global_sdr"):
        row += [decibel(stem.values[metric]) for stem in summaries]
        row.append(decibel(average(summaries, metric)))
    head.append("all SDR")
    row.append(decibel(pool(songs).values["sdr"]))
    rule = ["---", *("---:" for _ in head[1:])]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (head, rule, row))


def decibel(value: float, decimals: int = 2) -> str:
    """Return ``value`` in ASCII: "-3.10", "inf", or "-" for NaN."""
    if math.isnan(value):
        return "-"
    text = f"{value:.{decimals}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|")


def _combine(name: str, stems: Sequence[StemSummary]) -> StemSummary:
    values, unanswered = {}, {}
    for metric in (*BSS_EVAL, *WHOLE_STEM):
        found = np.array([stem.values[metric] for stem in stems])
        unanswered[metric] = int(np.count_nonzero(np.isnan(found)))
        values[metric] = median(found) if metric in BSS_EVAL else _mean(found)
    return StemSummary(
        name=name,
        songs=len(stems),
        values=values,
        unanswered=unanswered,
        frames=sum(stem.frames for stem in stems),
        silent_frames=sum(stem.silent_frames for stem in stems),
    )


def _mean(values: Frames) -> float:
    answered = values[~np.isnan(values)]
    if not answered.size or (np.inf in answered and -np.inf in answered):
        return math.nan  # both infinities together have no mean
    return float(answered.mean())
