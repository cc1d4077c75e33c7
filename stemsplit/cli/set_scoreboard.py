"""Tables for a terminal that compare several sets of stems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from stemsplit.cli.scoreboard import LEGEND, LONGEST_NAME, SCORES, WIDTH, render, shorten
from stemsplit.errors import printable

if TYPE_CHECKING:
    from rich.table import Table

    from stemsplit.evaluation.report.stem_sets import ComparedSong, Difference, MetricRow

#: The most sets whose differences from the first one fit next to the values.
MOST_WITH_DIFFERENCES = 3
#: The width of the name of a set, for few and for many sets.
LONG_NAME, SHORT_NAME = 14, 9
BEST = "*"


def show_sets(songs: Sequence[ComparedSong], *, colour: bool = False) -> str:
    """Return the scores of all sets for ``songs`` as text: a table for each metric.

    Lines have at most `WIDTH` columns for up to six sets. `BEST` marks the best value of a row.
    """
    from stemsplit.evaluation.report.stem_sets import letter

    names = list(songs[0].sets)
    letters = dict(zip(names, map(letter, range(len(names))), strict=True))
    count = songs[0].name if len(songs) == 1 else f"{len(songs)} songs"
    parts: list[Table | str] = [f"{printable(count)}, {len(names)} sets of stems"]
    parts += [f"{mark}: {printable(name)}" for name, mark in letters.items()]
    for metric, title in SCORES.items():
        parts += ["", _metric_table(songs, metric, _in_one_line(title), letters)]
    parts += ["", *_legend(songs, names)]
    width = max(WIDTH, LONGEST_NAME + (SHORT_NAME + 2) * len(names))
    return render(parts, colour=colour, width=width)


def _in_one_line(title: str) -> str:
    return title.replace("-\n", "-").replace("\n", " ").strip()


def _metric_table(
    songs: Sequence[ComparedSong], metric: str, title: str, letters: Mapping[str, str]
) -> Table:
    from rich.table import Table

    from stemsplit.evaluation.report.stem_sets import average_row, compare_sets

    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    table.add_column(f"\n{title}", overflow="ellipsis", min_width=LONGEST_NAME, no_wrap=True)
    room = LONG_NAME if len(letters) < MOST_WITH_DIFFERENCES else SHORT_NAME
    for name, mark in letters.items():
        heading = f"{mark}\n{shorten(name, room)}"
        table.add_column(heading, justify="right", min_width=SHORT_NAME, no_wrap=True)
    compared = _shown_differences(letters)
    for name in compared:
        table.add_column(f"\n{letters[name]} - A", justify="right", min_width=7, no_wrap=True)
        if len(songs) > 1:
            wins = f"wins\n{letters[name]}:A"
            table.add_column(wins, justify="right", min_width=5, no_wrap=True)
    rows = compare_sets(songs, metric)
    if len(rows) > 1:
        rows.append(average_row(rows, metric))
    for row in rows:
        cells = [_cell(row, name) for name in letters]
        for name in compared:
            cells += _difference_cells(row.differences[name])[: 1 + (len(songs) > 1)]
        table.add_row(shorten(row.stem, LONGEST_NAME), *cells)
    return table


def _shown_differences(names: Mapping[str, str]) -> list[str]:
    return list(names)[1:] if len(names) <= MOST_WITH_DIFFERENCES else []


def _cell(row: MetricRow, name: str) -> str:
    from stemsplit.evaluation.report.tables import decibel

    return decibel(row.values[name]) + (BEST if name in row.best else " ")


def _difference_cells(difference: Difference) -> tuple[str, str]:
    from stemsplit.evaluation.report.tables import decibel

    text = decibel(difference.median)
    sign = "+" if difference.median > 0 and text != "0.00" else ""
    return f"{sign}{text}", f"{difference.wins}:{difference.losses}"


def _legend(songs: Sequence[ComparedSong], names: Sequence[str]) -> Iterator[str]:
    first = songs[0].sets[names[0]]
    yield LEGEND.format(window=first.window)
    yield f"{BEST} best in its row"
    if len(names) > MOST_WITH_DIFFERENCES:
        yield "differences from A: see --csv, --json and --html"
    elif len(songs) > 1:
        yield "over songs: median of SDR, ISR, SIR, SAR and of differences; mean of the others"
        yield "wins: songs in which a set is better than A, and in which A is better"
