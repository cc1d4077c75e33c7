"""What ``stemsplit data check`` and ``data stats`` show: text, or JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from stemsplit.cli.console import Console, wrap
from stemsplit.cli.scoreboard import render
from stemsplit.data.whitening import HOP, SIZE
from stemsplit.errors import printable

if TYPE_CHECKING:
    from rich.table import Table

    from stemsplit.batch.data_check import CheckedSong, Duplicate
    from stemsplit.batch.data_stats import DataStatistics, SourceStatistics

SCHEMA = 1  # of the records that --json writes
INDENT = 4


class CheckReport:
    """Shows the findings for each song at once, and a summary at the end."""

    def __init__(self, console: Console, layouts: Sequence[str]) -> None:
        self._console, self._layouts = console, layouts
        self._songs: list[CheckedSong] = []

    def show(self, song: CheckedSong) -> None:
        """Show what was found about ``song``, or why it cannot be read."""
        self._songs.append(song)
        if song.error is not None:
            self._console.error(song.error, Path(song.name))
        if self._console.json:
            self._console.record({"schema": SCHEMA, "song": song.name, **_facts(song)})
        elif song.findings:
            self._console.data(printable(song.name))
            self._list(finding.message for finding in song.findings)

    def finish(self, duplicates: Sequence[Duplicate]) -> None:
        """Show duplicates, and how many songs have which findings."""
        counts = Counter(finding.kind for song in self._songs for finding in song.findings)
        if self._console.json:
            self._console.record(
                {
                    "schema": SCHEMA,
                    "layouts": list(self._layouts),
                    "songs": len(self._songs),
                    "failed": sum(song.error is not None for song in self._songs),
                    "hours": self._hours(),
                    "splits": dict(Counter(song.split for song in self._songs if song.split)),
                    "findings": dict(counts),
                    "duplicates": [asdict(each) for each in duplicates],
                }
            )
            return
        if duplicates:
            self._console.data("the same song twice")
            self._list(f"{each.first} and {each.second}" for each in duplicates)
        self._console.data(self._summary(counts, len(duplicates)))

    def _list(self, messages: Iterable[str]) -> None:
        for message in messages:
            for line in wrap(f"  - {printable(message)}", self._console.columns, INDENT):
                self._console.data(line)

    def _hours(self) -> float:
        return sum(song.seconds or 0.0 for song in self._songs) / 3600

    def _summary(self, counts: Counter[str], duplicates: int) -> str:
        flawed = sum(bool(song.findings) for song in self._songs)
        failed = sum(song.error is not None for song in self._songs)
        parts = [f"{_count(len(self._songs), 'song')} ({', '.join(self._layouts)})"]
        parts.append(f"{self._hours():.2f} hours")
        parts.append(f"{_count(counts.total(), 'finding')} in {_count(flawed, 'song')}")
        parts += [_count(duplicates, "duplicate")] if duplicates else []
        parts += [f"{failed} unreadable"] if failed else []
        return ", ".join(parts)


def _facts(song: CheckedSong) -> dict[str, object]:
    if song.error is not None:
        error = song.error
        code = error.exit_code.value
        return {"error": str(error), "hint": error.hint, "exit_code": code}
    return {
        "split": song.split,
        "seconds": song.seconds,
        "stems": list(song.stems),
        "findings": [
            {"kind": each.kind, "stems": list(each.stems), "message": each.message}
            for each in song.findings
        ],
    }


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def show_statistics(console: Console, statistics: DataStatistics, layouts: Sequence[str]) -> None:
    """Show ``statistics`` as a table, or as one JSON object."""
    if console.json:
        console.record(_record(statistics, layouts))
        return
    splits = ", ".join(f"{number} {split}" for split, number in statistics.splits.items())
    head = f"{_count(statistics.songs, 'song')} ({', '.join(layouts)})"
    head += f", {statistics.hours:.2f} hours{f': {splits}' if splits else ''}"
    white = statistics.whitening
    console.data(
        render(
            [
                head,
                "",
                _table(statistics.sources),
                "",
                "LUFS: median, and range over songs; silent: below -60 dBFS over 0.1 s; alone: all "
                "other stems are silent",
                f"samples of the mixture: mean {white.sample_mean:.2e}, scale "
                f"{white.sample_scale:.4f}, at {statistics.sample_rate} Hz; by frequency: --json",
            ],
            colour=console.coloured,
            width=console.columns,
        )
    )


def _table(sources: Sequence[SourceStatistics]) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("stem", overflow="ellipsis")
    for title in ("songs", "hours", "LUFS", "range", "silent", "alone"):
        table.add_column(title, justify="right", no_wrap=True)
    for source in sources:
        present = source.loudness is not None
        table.add_row(
            printable(source.name),
            str(source.songs),
            f"{source.hours:.2f}",
            f"{source.loudness:.1f}" if present else "-",
            f"{source.quietest:.1f} … {source.loudest:.1f}" if present else "-",
            f"{source.silent:.0%}" if source.songs else "-",
            f"{source.alone:.0%}" if source.songs else "-",
        )
    return table


def _record(statistics: DataStatistics, layouts: Sequence[str]) -> dict[str, object]:
    white = statistics.whitening
    return {
        "schema": SCHEMA,
        "layouts": list(layouts),
        "songs": statistics.songs,
        "splits": dict(statistics.splits),
        "hours": statistics.hours,
        "sample_rate": statistics.sample_rate,
        "stems": [asdict(source) for source in statistics.sources],
        "sample_mean": white.sample_mean,
        "sample_scale": white.sample_scale,
        "whitening": {
            "size": SIZE,
            "hop": HOP,
            "mean": [float(f"{value:.6g}") for value in white.mean],
            "scale": [float(f"{value:.6g}") for value in white.scale],
        },
    }
