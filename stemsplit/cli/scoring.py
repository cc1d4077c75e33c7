"""Scoring songs one after another, and showing what is found in the ways that were asked for."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any, TypeAlias

from stemsplit.audio.atomic import write_text
from stemsplit.audio.encode import refuse_existing
from stemsplit.batch.results import exit_code
from stemsplit.cli.app import told
from stemsplit.cli.console import Console, Meter
from stemsplit.cli.scoreboard import show_song, show_summary
from stemsplit.data.layouts import SongStems, find_songs, pair_songs, song_name
from stemsplit.errors import ExitCode, ResourceError, StemsplitError, UsageError
from stemsplit.evaluation.options import BssEvalOptions
from stemsplit.evaluation.report.html import write_report
from stemsplit.evaluation.report.records import to_json, to_museval
from stemsplit.evaluation.report.tables import (
    average,
    decibel,
    song_values,
    summarise,
    to_csv,
    to_markdown,
)
from stemsplit.evaluation.scores import SongScores
from stemsplit.evaluation.scoring import score_sounds
from stemsplit.evaluation.sounds import find_sounds
from stemsplit.evaluation.steps import Steps
from stemsplit.separation.device import keep_freed_memory
from stemsplit.types import Progressed

SCHEMA = 1  # of the records that --json writes besides those of songs

#: The name of a song, and how its scores come about; it is told what to call the work.
Task: TypeAlias = tuple[str, Callable[[str], SongScores]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reports:
    """Where scores go, and in which shapes. Without any, a table goes to stdout."""

    console: Console
    csv: Path | None = None
    museval: Path | None = None
    html: Path | None = None
    markdown: bool = False
    force: bool = False

    def refuse_existing(self, songs: Sequence[str]) -> None:
        """Raise ``OutputError`` where a report of ``songs`` is in the way of what will be written.

        Called before any work, which may take hours.
        """
        files = [self.csv, self.html, *(self._museval_file(song) for song in songs)]
        for path in files:
            if path is not None:
                refuse_existing(path, force=self.force, hint="--force replaces it")

    def tell(self, song: SongScores, *, alone: bool) -> None:
        """Show ``song`` at once, unless it is ``alone``: then a table comes, with its remarks."""
        if self.console.json:
            self.console.record(to_json(song))
        elif not alone:
            self.console.note(_in_a_line(song))
        elif not self.markdown:
            return
        for remark in song.remarks:
            self.console.note(f"{song.song}: {remark}")

    def finish(self, songs: Sequence[SongScores], label: str) -> None:
        """Write what is written of all ``songs``; ``label`` says in a few words what was scored."""
        if self.csv is not None:
            write_text(self.csv, to_csv(songs))
        for song in songs if self.museval is not None else ():
            file = self._museval_file(song.song)
            assert file is not None
            write_text(file, json.dumps(to_museval(song), indent=2))
        if self.html is not None:
            write_report(self.html, songs)
        if self.console.json:
            if len(songs) > 1:
                self.console.record(_summary(songs))
        elif self.markdown:
            self.console.data(to_markdown(songs, label).rstrip("\n"))
        elif len(songs) == 1:
            self.console.data(show_song(songs[0], colour=self.console.coloured))
        elif songs:
            self.console.data(show_summary(songs, colour=self.console.coloured))

    def _museval_file(self, song: str) -> Path | None:
        return None if self.museval is None else self.museval / f"{song}.json"


def _in_a_line(song: SongScores) -> str:
    if not song.scores:
        return f"{song.song}: measured"
    values = song_values(song)
    figures = ", ".join(f"{stem.name} {decibel(stem.values['sdr'])}" for stem in values)
    return f"{song.song}: SDR {figures} dB"


def _summary(songs: Sequence[SongScores]) -> dict[str, Any]:
    """Return what ``songs`` come to as an object for --json; "no answer" is null."""
    stems = summarise(songs)

    def figures(values: Mapping[str, float]) -> dict[str, float | None]:
        return {name: value if isfinite(value) else None for name, value in values.items()}

    return {
        "schema": SCHEMA,
        "summary": [
            {"name": stem.name, "songs": stem.songs, **figures(stem.values)} for stem in stems
        ],
        "average": figures({metric: average(stems, metric) for metric in ("sdr", "global_sdr")}),
    }


def run(tasks: Sequence[Task], reports: Reports, label: str) -> ExitCode:
    """Do ``tasks``, show what they give, and return the exit code of the whole.

    A song that fails is told and passed over; after a lack of disk or memory the rest is not tried.
    """
    keep_freed_memory()
    console = reports.console
    found: list[SongScores] = []
    outcomes: list[StemsplitError | None] = []
    reports.refuse_existing([name for name, _ in tasks])
    for number, (name, work) in enumerate(tasks, 1):
        heading = f"[{number}/{len(tasks)}] {name}" if len(tasks) > 1 else name
        try:
            if outcomes and isinstance(outcomes[-1], ResourceError):
                raise ResourceError("not tried after that", path=name)
            found.append(work(heading))
            reports.tell(found[-1], alone=len(tasks) == 1)
            outcomes.append(None)
        except Exception as exc:
            error = told(exc, Path(name))
            console.error(error)
            outcomes.append(error)
            if console.json:
                console.record(_failure(name, error))
    if found:
        reports.finish(found, label)
    return exit_code(outcomes)


def _failure(song: str, error: StemsplitError) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "song": song,
        "error": str(error),
        "hint": error.hint,
        "exit_code": error.exit_code,
    }


def follow(
    console: Console, scoring: Generator[Progressed, None, SongScores], label: str
) -> SongScores:
    """Return what ``scoring`` finds, and show how far it is: on a terminal, for it is soon done."""
    if not console.on_terminal:
        console.note(f"scoring {label}")
    with console.progress(f"scoring {label}") if console.on_terminal else Meter() as meter:
        steps = Steps(scoring)
        for step in steps:
            meter.update(step.done, step.total)
        return steps.result


def score_folders(
    reports: Reports,
    estimates: Path,
    references: Path | None,
    *,
    mixture: Path | None = None,
    mapping: Mapping[str, str],
    framing: BssEvalOptions,
) -> ExitCode:
    """Score the songs at ``estimates`` against those at ``references``; return the exit code.

    Without ``references`` there are only measures. Raises ``InputError`` where nothing is found or
    nothing matches, and ``UsageError`` for one ``mixture`` of several songs.
    """
    songs = find_songs(estimates)
    pairs: list[tuple[SongStems, SongStems | None]] = [(song, None) for song in songs]
    if references is not None:
        true = find_songs(references)
        pairs = list(pair_songs(songs, true))
        _tell_of_the_others(reports.console, songs, true, pairs)
    if mixture is not None and len(pairs) > 1:
        raise UsageError(f"--mixture is of one song, and there are {len(pairs)}")

    def work(song: SongStems, truth: SongStems | None, label: str) -> SongScores:
        sounds = find_sounds(song, truth, mixture=mixture, mapping=mapping)
        return follow(reports.console, score_sounds(sounds, framing), label)

    tasks = [(song.name, partial(work, song, truth)) for song, truth in pairs]
    return run(tasks, reports, song_name(estimates))


def _tell_of_the_others(
    console: Console,
    estimates: Sequence[SongStems],
    references: Sequence[SongStems],
    pairs: Sequence[tuple[SongStems, SongStems | None]],
) -> None:
    """Warn of songs that are on one side only."""
    matched = {song for pair in pairs for song in pair}
    for what, songs in (("references", estimates), ("estimates", references)):
        if alone := [song.name for song in songs if song not in matched]:
            console.warn(f"no {what} of {len(alone)} songs, left out: {', '.join(alone)}")
