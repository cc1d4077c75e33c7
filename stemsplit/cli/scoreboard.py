"""Scores as tables for a terminal, followed by remarks."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from math import isnan
from typing import TYPE_CHECKING

from stemsplit.errors import printable

if TYPE_CHECKING:
    from rich.table import Table

    from stemsplit.evaluation.report.tables import StemSummary
    from stemsplit.evaluation.scores import SongScores

WIDTH = 80
LONGEST_NAME = 14
#: Column titles of two lines, by metric.
SCORES = {
    "sdr": "\nSDR",
    "isr": "\nISR",
    "sir": "\nSIR",
    "sar": "\nSAR",
    "global_sdr": "global\nSDR",
    "si_sdr": "\nSI-SDR",
    "si_sir": "\nSI-SIR",
    "si_sar": "\nSI-SAR",
    "log_wmse": "log-\nWMSE",
}
LEADERBOARD = {
    "k_sdr": "\nk-SDR",
    "bleedless": "bleed-\nless",
    "fullness": "full-\nness",
    "l1_freq": "\nL1-freq",
    "aura_stft": "aura\nSTFT",
    "aura_mrstft": "aura\nMR-STFT",
}
MEASURES = {
    "loudness": "\nLUFS",
    "peak": "\npeak",
    "true_peak": "true\npeak",
    "above_11_khz": ">11\nkHz",
    "above_16_khz": ">16\nkHz",
    "joins": "\njoins",
}
NEAREST = "\nwith"  # title of the column of names
LEGEND = "dB; SDR, ISR, SIR, SAR: BSS Eval v4, median over frames of {window:g} s; - : undefined"
ALL_LEGEND = "all: all stems together; median of SDR, ISR, SIR, SAR, mean of the others"
LEADERBOARD_LEGEND = "as leaderboards print them: 0 to 100, higher is better"
MEASURES_LEGEND = "without references; peaks in dBFS and dBTP, others in dB; overlap: 0 to 1"


def show_song(song: SongScores, *, colour: bool = False, width: int = WIDTH) -> str:
    """Return the tables of one song as text, at most ``width`` columns wide.

    Scores if there are references, measures if there are any, then remarks.
    """
    from stemsplit.evaluation.report.findings import describe_song
    from stemsplit.evaluation.report.tables import pool, song_values

    parts: list[Table | str] = [printable(song.song)]
    if song.scores:
        parts += _score_tables(song_values(song), pool([song]), song.window, width)
    if song.measures:
        parts += ["", *_measures_tables(song, width), MEASURES_LEGEND]
    if remarks := [f"* {printable(remark)}" for remark in describe_song(song)]:
        parts += ["", *remarks]
    return render(parts, colour=colour, width=width)


def show_briefly(song: SongScores, *, width: int = WIDTH) -> str:
    """Return a table with one figure for each stem of ``song``, as text of ``width`` columns.

    The figure is SDR in dB (median over frames), or LUFS if there are no references.
    """
    from stemsplit.evaluation.report.tables import decibel, song_values

    values = {stem.name: decibel(stem.values["sdr"]) for stem in song_values(song)}
    title = SCORES["sdr"] if values else MEASURES["loudness"]
    values = values or {stem.name: decibel(stem.loudness, 1) for stem in song.measures}
    rows = [(shorten(name), value) for name, value in values.items()]
    parts = [printable(song.song), *_fold([title], rows, width)]
    return render(parts, colour=False, width=width)


def show_summary(songs: Sequence[SongScores], *, colour: bool = False, width: int = WIDTH) -> str:
    """Return a summary of ``songs``: a table with a line per stem, at most ``width`` columns."""
    from stemsplit.evaluation.report.tables import pool, summarise

    if not songs:
        return "0 songs"
    summaries = summarise(songs)
    tables = _score_tables(summaries, pool(songs), songs[0].window, width)
    parts: list[Table | str] = [f"{len(songs)} songs", *tables]
    parts.append("over songs: median of SDR, ISR, SIR, SAR; mean of the others")
    for stem in summaries:
        missing = {metric: count for metric, count in stem.unanswered.items() if count}
        if missing:
            counts = ", ".join(f"{metric} of {count}" for metric, count in missing.items())
            parts.append(f"* {printable(stem.name)}: undefined in {stem.songs} songs: {counts}")
    return render(parts, colour=colour, width=width)


def _score_tables(
    summaries: Sequence[StemSummary], together: StemSummary, window: float, width: int
) -> list[Table | str]:
    """Return the tables of scores with their legends; the last row is of all stems together."""
    rows = [*summaries, together] if len(summaries) > 1 else summaries
    parts = [*_score_table(rows, SCORES, width), LEGEND.format(window=window)]
    if not all(isnan(together.values[metric]) for metric in LEADERBOARD):
        parts += ["", *_score_table(rows, LEADERBOARD, width), LEADERBOARD_LEGEND]
    if len(summaries) > 1:
        parts.append(ALL_LEGEND)
    return parts


def _score_table(
    summaries: Iterable[StemSummary], titles: Mapping[str, str], width: int
) -> list[Table | str]:
    from stemsplit.evaluation.report.tables import decibel

    rows = [
        (shorten(stem.name), *(decibel(stem.values[metric]) for metric in titles))
        for stem in summaries
    ]
    return _fold(list(titles.values()), rows, width)


def _measures_tables(song: SongScores, width: int) -> list[Table | str]:
    from stemsplit.evaluation.report.tables import decibel

    titles = [*MEASURES.values(), "\nclipped", "corre-\nlation", "over-\nlap", NEAREST]
    rows = []
    for stem in song.measures:
        figures = [decibel(getattr(stem, measure), 1) for measure in MEASURES]
        nearest = _largest(stem.overlap)
        shared = [decibel(of.get(nearest, float("nan"))) for of in (stem.correlation, stem.overlap)]
        rows.append((shorten(stem.name), *figures, str(stem.clipped), *shared, shorten(nearest)))
    return _fold(titles, rows, width)


def _fold(titles: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[Table | str]:
    """Return a table of ``rows``, or several with fewer columns each if ``width`` is too small.

    The names of the stems are in the first column, which has no title here, and in every table.
    """
    table = _new_table(titles)
    for row in rows:
        table.add_row(*row)
    if len(titles) == 1 or _width_of(table) <= width:
        return [table]
    half = (len(titles) + 1) // 2
    left = [row[: half + 1] for row in rows]
    right = [(row[0], *row[half + 1 :]) for row in rows]
    return [*_fold(titles[:half], left, width), "", *_fold(titles[half:], right, width)]


def _width_of(table: Table) -> int:
    """Return the columns that ``table`` takes without the space after the last one."""
    from rich.console import Console
    from rich.measure import Measurement

    console = Console(width=10 * WIDTH)
    return Measurement.get(console, console.options, table).maximum - 1


def _new_table(titles: Iterable[str]) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("\nstem", overflow="ellipsis", max_width=LONGEST_NAME)
    for title in titles:
        # If space is short, names are cut, never figures or titles.
        names = title == NEAREST
        table.add_column(title, justify="right", no_wrap=not names, overflow="ellipsis")
    return table


def _largest(shares: Mapping[str, float]) -> str:
    return max(shares, key=lambda name: shares[name], default="-")


def shorten(name: str, room: int = LONGEST_NAME) -> str:
    """Return ``name``, cut to ``room`` characters."""
    name = printable(name)
    return name if len(name) <= room else f"{name[: room - 3]}..."


def render(parts: Iterable[Table | str], *, colour: bool, width: int = WIDTH) -> str:
    """Return tables and lines as text of ``width`` columns."""
    from rich.console import Console

    text = io.StringIO()
    console = Console(
        file=text,
        width=width,
        force_terminal=colour,
        no_color=not colour,
        markup=False,
        highlight=False,
        emoji=False,
    )
    for part in parts:
        console.print(part)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())
