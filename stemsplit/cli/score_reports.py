"""Report scores as tables, JSON, CSV, files for museval, or an HTML page."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

from stemsplit.audio.atomic import write_text
from stemsplit.audio.writable import refuse_existing
from stemsplit.batch.results import Scored
from stemsplit.cli.console import Console
from stemsplit.cli.scoreboard import WIDTH, show_song, show_summary
from stemsplit.errors import StemsplitError
from stemsplit.evaluation.report.html import write_report
from stemsplit.evaluation.report.records import to_json, to_museval
from stemsplit.evaluation.report.tables import (
    average,
    decibel,
    pool,
    song_values,
    summarise,
    to_csv,
    to_markdown,
)
from stemsplit.evaluation.scores import SongScores

SCHEMA = 1  # of the records that --json writes besides those of songs


@dataclass(slots=True, kw_only=True)
class Reports(ABC):
    """The reports to write. Without any, a table goes to stdout."""

    console: Console
    csv: Path | None = None
    museval: Path | None = None
    html: Path | None = None
    markdown: bool = False
    force: bool = False
    _alone: bool = field(default=True, init=False)

    def refuse_existing(self, songs: Sequence[str]) -> None:
        """Raise ``OutputError`` if a report of ``songs`` already exists.

        Called before scoring, which may take hours.
        """
        self._alone = len(songs) == 1
        files = [self.csv, self.html, *(self._museval_file(song) for song in songs)]
        for path in files:
            if path is not None:
                refuse_existing(path, force=self.force, hint="use --force to replace it")

    @abstractmethod
    def show(self, scored: Scored) -> None:
        """Show the scores of a song, or its error, at once."""

    @abstractmethod
    def finish(self, label: str) -> None:
        """Write the reports of all songs; ``label`` is a short name for what was scored."""

    def show_error(self, scored: Scored) -> None:
        """Show the error of a song, if it failed."""
        if scored.error is not None:
            self.console.error(scored.error)
            if self.console.json:
                self.console.record(_failure(scored.name, scored.error))

    def write_museval(self, song: str, scores: SongScores) -> None:
        """Write the file for museval of ``song``, if wanted."""
        if (file := self._museval_file(song)) is not None:
            write_text(file, json.dumps(to_museval(scores), indent=2))

    def _museval_file(self, song: str) -> Path | None:
        return None if self.museval is None else self.museval / f"{song}.json"


@dataclass(slots=True, kw_only=True)
class SongReports(Reports):
    """The reports to write for one set of stems."""

    _songs: list[SongScores] = field(default_factory=list, init=False)

    def show(self, scored: Scored) -> None:
        """Show the scores of a song, or its error, at once; a single song gets a table later."""
        self.show_error(scored)
        console, song = self.console, scored.scores
        if song is None:
            return
        self._songs.append(song)
        if console.json:
            console.record(to_json(song))
        elif not self._alone:
            console.note(_in_a_line(song))
        elif not self.markdown:
            return
        for remark in song.remarks:
            console.note(f"{song.song}: {remark}")

    def finish(self, label: str) -> None:
        """Write the reports of all songs; ``label`` is a short name for what was scored."""
        songs = self._songs
        if not songs:
            return
        colour, width = self.console.coloured, min(WIDTH, self.console.columns)
        if self.csv is not None:
            write_text(self.csv, to_csv(songs))
        for song in songs:
            self.write_museval(song.song, song)
        if self.html is not None:
            write_report(self.html, songs)
        if self.console.json:
            if len(songs) > 1:
                self.console.record(_summary(songs))
        elif self.markdown:
            self.console.data(to_markdown(songs, label).rstrip("\n"))
        elif len(songs) == 1:
            self.console.data(show_song(songs[0], colour=colour, width=width))
        else:
            self.console.data(show_summary(songs, colour=colour, width=width))


def _in_a_line(song: SongScores) -> str:
    if not song.scores:
        return f"{song.song}: measured"
    values = song_values(song)
    figures = ", ".join(f"{stem.name} {decibel(stem.values['sdr'])}" for stem in values)
    return f"{song.song}: SDR {figures} dB"


def _summary(songs: Sequence[SongScores]) -> dict[str, Any]:
    """Return a summary of ``songs`` as an object for --json; undefined values are null."""
    stems = summarise(songs)

    def figures(values: Mapping[str, float]) -> dict[str, float | None]:
        return {name: value if isfinite(value) else None for name, value in values.items()}

    return {
        "schema": SCHEMA,
        "summary": [
            {"name": stem.name, "songs": stem.songs, **figures(stem.values)} for stem in stems
        ],
        "average": figures({metric: average(stems, metric) for metric in ("sdr", "global_sdr")}),
        "all": figures(pool(songs).values),
    }


def _failure(song: str, error: StemsplitError) -> dict[str, Any]:
    """Return the object for --json of a ``song`` that failed."""
    return {
        "schema": SCHEMA,
        "song": song,
        "error": str(error),
        "hint": error.hint,
        "exit_code": error.exit_code,
    }
