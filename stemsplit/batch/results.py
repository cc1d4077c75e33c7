"""What became of each input, and how the whole run is told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from stemsplit.errors import ExitCode, ResourceError, StemsplitError, printable
from stemsplit.types import Daw, Finished

if TYPE_CHECKING:
    from stemsplit.batch.plan import Plan
    from stemsplit.evaluation.scores import SongScores

SCHEMA = 1  # of the records that --json writes
Status = Literal["would_split", "done", "skipped", "failed"]
#: How the table calls them.
_WORDS: dict[Status, str] = {
    "would_split": "to split",
    "done": "done",
    "skipped": "skipped",
    "failed": "failed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one input."""

    input: Path
    status: Status
    outputs: dict[str, Path]
    projects: dict[Daw, Path] = field(default_factory=dict)
    finished: Finished | None = None
    error: StemsplitError | None = None
    seconds: float = 0.0  # of wall clock
    scores: SongScores | None = None  # of the stems, if they were to be scored

    @classmethod
    def planned(cls, path: Path, status: Status, plan: Plan) -> Outcome:
        """Return the outcome of an input of which nothing was written yet, or all is there."""
        return cls(input=path, status=status, outputs=plan.stems, projects=plan.projects)

    @classmethod
    def failed(cls, path: Path | str | None, error: StemsplitError) -> Outcome:
        """Return the outcome of the input ``path``, of which nothing was written."""
        return cls(input=Path(path or ""), status="failed", outputs={}, error=error)


def record(outcome: Outcome, model: str) -> dict[str, Any]:
    """Return ``outcome`` as the object that --json writes."""
    content: dict[str, Any] = {
        "schema": SCHEMA,
        "input": str(outcome.input),
        "status": outcome.status,
        "model": model,
        "stems": [{"name": stem, "path": str(path)} for stem, path in outcome.outputs.items()],
    }
    if outcome.projects:
        listed = [{"name": daw, "path": str(path)} for daw, path in outcome.projects.items()]
        content |= {"projects": listed}
    if finished := outcome.finished:
        content |= {
            "sample_rate": finished.sample_rate,
            "channels": finished.channels,
            "frames": finished.frames,
            "seconds": round(outcome.seconds, 3),
        }
    if outcome.scores is not None:
        from stemsplit.evaluation.report.records import to_json

        content |= {"scores": to_json(outcome.scores)}
    if error := outcome.error:
        content |= {"error": str(error), "hint": error.hint, "exit_code": error.exit_code}
    return content


def table(outcomes: Sequence[Outcome], *, whole: bool = False) -> Iterator[str]:
    """Yield the lines that tell how a run ended: counts, and each failure with its reason.

    The ``whole`` table has a line for every input.
    """
    first: Status = "would_split" if any(o.status == "would_split" for o in outcomes) else "done"
    statuses: tuple[Status, ...] = (first, "skipped", "failed")
    counts = {status: sum(o.status == status for o in outcomes) for status in statuses}
    yield ", ".join(f"{count} {_WORDS[status]}" for status, count in counts.items())
    for status in statuses:
        for outcome in outcomes:
            if outcome.status == status and (whole or outcome.error is not None):
                yield f"  {_WORDS[status]:<7}  {_told(outcome)}"


def _told(outcome: Outcome) -> str:
    """Return the input of ``outcome``, and its error, which may be that of another file."""
    song, error = printable(outcome.input), outcome.error
    if error is None:
        return song
    # As a path, an address has one slash where it has two.
    own = error.path is None or Path(error.path) == outcome.input
    return str(error) if own else f"{song}: {error}"


def ends_all(outcome: Outcome, *, fail_fast: bool) -> bool:
    """Return whether the songs that follow are not tried: a lack of disk or memory is theirs too.

    With ``fail_fast``, any failure is reason enough.
    """
    return isinstance(outcome.error, ResourceError) or (fail_fast and outcome.error is not None)


class NotTried(ResourceError):
    """What is told of a song that comes after such an end."""

    @classmethod
    def because_of(cls, cause: Outcome, song: Path) -> NotTried:
        """Return what is told of a ``song`` that ``cause`` left no chance, with its exit code."""
        failed = "of a failure before it" if cause.input == Path() else f"{cause.input} failed"
        error = cls(f"not tried, because {failed}", path=song)
        if cause.error is not None:
            error.exit_code = cause.error.exit_code
        return error


def not_tried(song: Path) -> NotTried:
    """Return what is told of a ``song`` that comes after such an end, by who does not know why."""
    return NotTried("not tried after that", path=song)


def exit_code(outcomes: Sequence[StemsplitError | None]) -> ExitCode:
    """Return the exit code of a run whose inputs failed with ``outcomes``, None where one did not.

    It is 0 if nothing failed, 6 if only some did, else the code of the first failure.
    """
    failures = [error for error in outcomes if error is not None]
    if not failures:
        return ExitCode.DONE
    return failures[0].exit_code if len(failures) == len(outcomes) else ExitCode.PARTLY
