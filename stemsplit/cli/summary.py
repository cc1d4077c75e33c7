"""Show the results of a run: each as it arrives, and all of them at the end."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stemsplit.batch.results import Result, Status, exit_code
from stemsplit.cli.console import Console, clock
from stemsplit.errors import ExitCode, ResourceError, printable
from stemsplit.types import Existing, Reason

if TYPE_CHECKING:
    from stemsplit.evaluation.scores import SongScores

SCHEMA = 1  # of the records that --json writes
#: The word for each status in the table.
_WORDS: dict[Status, str] = {
    "would_split": "to split",
    "done": "done",
    "skipped": "skipped",
    "failed": "failed",
}

#: How many results fit on a screen with all that is shown about them.
FEW = 3

#: Why a song was split again, or skipped, if that is worth mentioning.
_REASONS: dict[Reason, str] = {
    "song_changed": "the song changed",
    "made_otherwise": "its stems were made with other options",
    "edited": "its stems are up to date, except for edited ones, which are kept",
    "exists": "its stems already exist",
}


class Summary:
    """Shows the results of a run with ``model`` on a ``console``, and keeps them for the end."""

    def __init__(self, console: Console, model: str, report: Path | None = None) -> None:
        """``report`` is the file that the scores are written to, if any."""
        self._console = console
        self._model = model
        self._report = report
        self._unwritable: ResourceError | None = None  # why stdout failed, reported at the end
        self._results: list[Result] = []

    def show(self, result: Result) -> None:
        """Show ``result``: paths or an object on stdout, everything else on stderr."""
        self._results.append(result)
        console = self._console
        if result.error is not None:
            console.error(result.error, result.input)
        if words := _what_happened(result):
            console.note(f"{result.input}: {words}")
        try:
            if console.json:
                console.record(to_record(result, self._model))
            elif result.status in ("done", "would_split"):
                for path in (*result.stems.values(), *result.projects.values()):
                    console.data(str(path))
        except ResourceError as error:
            self._unwritable = error
        if result.scores is not None:
            for line in self._scores(result.scores):
                console.note(line)

    def _scores(self, song: SongScores) -> list[str]:
        """Return the lines of the tables of ``song``: on a terminal, what a report has is short."""
        from stemsplit.cli.scoreboard import WIDTH, show_briefly, show_song

        width = min(WIDTH, self._console.note_columns)
        brief = self._report and self._console.for_people and not self._console.verbose
        return (show_briefly if brief else show_song)(song, width=width).splitlines()

    def raise_unwritable(self) -> None:
        """Raise ``ResourceError`` if standard output could not be written."""
        if self._unwritable is not None:
            raise self._unwritable

    def counts(self) -> str:
        """Return a line with the numbers of songs that were split, skipped, and failed."""
        return next(table(self._results))

    def show_interruption(self, entries: int, existing: Existing) -> None:
        """Show how much of a run of several ``entries`` is done, and how to continue."""
        if entries < 2:
            return
        self._console.note(f"{self.counts()}, {entries - len(self._results)} left")
        # With --force, the same command would start over.
        without = " without --force" if existing == "force" else ""
        self._console.note(f"run the same command{without} to continue")

    def finish(self) -> ExitCode:
        """Show the table of several results, and return the exit code of the run.

        On a terminal, a single finished song and the report, if written, also get a line, and the
        failures of a few songs, which are still on the screen, are not repeated. Raises
        ``ResourceError`` if standard output could not be written.
        """
        whole, few = self._console.verbose > 0, len(self._results) <= FEW
        if len(self._results) > 1:
            lines = list(table(self._results, whole=whole))
            on_screen = few and not whole and self._console.for_people
            for line in lines[:1] if on_screen else lines:
                self._console.note(line)
        if self._console.for_people:
            if len(self._results) == 1 and (line := _describe_end(self._results[0])):
                self._console.paragraph(line)
            if self._report is not None and any(result.scores for result in self._results):
                self._console.note(f"report: {self._report}")
        self.raise_unwritable()
        return exit_code([result.error for result in self._results])


def to_record(result: Result, model: str) -> dict[str, Any]:
    """Return ``result`` as the object that --json writes."""
    content: dict[str, Any] = {
        "schema": SCHEMA,
        "input": str(result.input),
        "status": result.status,
        "reason": result.reason,
        "model": model,
        "stems": [{"name": stem, "path": str(path)} for stem, path in result.stems.items()],
        "warnings": list(result.warnings),
    }
    if result.projects:
        listed = [{"name": daw, "path": str(path)} for daw, path in result.projects.items()]
        content |= {"projects": listed}
    if result.frames is not None:
        content |= {
            "sample_rate": result.sample_rate,
            "channels": result.channels,
            "frames": result.frames,
            "seconds": round(result.seconds, 3),
        }
    if result.scores is not None:
        from stemsplit.evaluation.report.records import to_json

        content |= {"scores": to_json(result.scores)}
    if error := result.error:
        content |= {"error": str(error), "hint": error.hint, "exit_code": error.exit_code}
    return content


def table(results: Sequence[Result], *, whole: bool = False) -> Iterator[str]:
    """Yield the lines that sum up a run: counts, and each failure with its reason.

    The ``whole`` table has a line for every input.
    """
    first: Status = "would_split" if any(r.status == "would_split" for r in results) else "done"
    statuses: tuple[Status, ...] = (first, "skipped", "failed")
    counts = {status: sum(r.status == status for r in results) for status in statuses}
    yield ", ".join(f"{count} {_WORDS[status]}" for status, count in counts.items())
    for status in statuses:
        for result in results:
            if result.status == status and (whole or result.error is not None):
                yield f"  {_WORDS[status]:<7}  {_describe(result)}"


def _what_happened(result: Result) -> str:
    """Return what else to mention after the paths of the stems."""
    why = "" if result.reason is None else _REASONS.get(result.reason, "")
    match result.status:
        case "skipped":
            return f"skipped, {why or 'its stems are up to date'}"
        case "would_split":
            return "would be split" + (f": {why}" if why else "")
        case "done" if why:
            return f"replaced: {why}"
    return ""


def _describe_end(result: Result) -> str:
    """Return where the stems of a finished song are, and how long it took."""
    if result.status != "done" or not (result.frames and result.sample_rate and result.seconds):
        return ""
    paths = list(result.stems.values())
    where = str(paths[0])
    if len(paths) > 1:
        folder = os.path.commonpath([path.parent for path in paths])
        where = f"{len(paths)} stems in {folder or 'the current folder'}"
    length = result.frames / result.sample_rate
    speed = f"{length / result.seconds:.1f}× real time"
    return f"{where}: {clock(length)} in {clock(result.seconds)}, {speed}"


def _describe(result: Result) -> str:
    """Return the input of ``result``, with its error, which may be about another file."""
    song, error = printable(result.input), result.error
    if error is None:
        return song
    # Path turns the two slashes of an address into one.
    own = error.path is None or Path(error.path) == result.input
    return str(error) if own else f"{song}: {error}"
