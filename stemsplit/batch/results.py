"""The results of a run, one for each input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from stemsplit.errors import ExitCode, OutputError, ResourceError, StemsplitError
from stemsplit.types import Daw, Reason

if TYPE_CHECKING:
    from stemsplit.batch.plan import SongPlan
    from stemsplit.evaluation.report.stem_sets import ComparedSong
    from stemsplit.evaluation.scores import SongScores

Status = Literal["would_split", "done", "skipped", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The outcome for one input.

    ``stems`` and ``projects`` are the files that were written; for a skipped input those that
    exist, in a dry run those that would be written. ``reason`` explains the status. A result that
    is ``done`` has an ``error`` if only scoring failed.
    """

    input: Path
    status: Status
    reason: Reason | None = None  # None: an error that existing outputs did not cause
    stems: dict[str, Path] = field(default_factory=dict)
    projects: dict[Daw, Path] = field(default_factory=dict)
    sample_rate: int | None = None  # Hz, of the stems that were written
    channels: int | None = None
    frames: int | None = None  # of the song, at its own rate
    seconds: float = 0.0  # wall clock, from the first segment until all files were in place
    warnings: tuple[str, ...] = ()  # such as damage and gaps in the song
    error: StemsplitError | None = None
    scores: SongScores | None = None  # of the stems, if scoring was requested

    @classmethod
    def planned(cls, path: Path, status: Status, plan: SongPlan, reason: Reason) -> Result:
        """Return the result of an input whose outputs already exist, or would be written."""
        return cls(
            input=path, status=status, reason=reason, stems=plan.stems, projects=plan.projects
        )

    @classmethod
    def failed(cls, path: Path | str | None, error: StemsplitError) -> Result:
        """Return the result of the input ``path``, which failed before any stem was written."""
        return cls(
            input=Path(path or ""),
            status="failed",
            reason=error.why if isinstance(error, InTheWay) else None,
            error=error,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """The scores of one song, or of several sets of its stems, or the error."""

    name: str
    scores: SongScores | None = None
    sets: ComparedSong | None = None
    error: StemsplitError | None = None


def ends_all(result: Result | Scored, *, fail_fast: bool = False) -> bool:
    """Return whether to skip all further songs, which would run out of disk or memory too.

    With ``fail_fast``, this is true after any failure.
    """
    return isinstance(result.error, ResourceError) or (fail_fast and result.error is not None)


class InTheWay(OutputError):
    """Existing outputs must not be replaced; ``why`` is the reason."""

    def __init__(
        self,
        reason: str,
        *,
        path: Path | None = None,
        hint: str | None = None,
        why: Reason = "foreign",
    ) -> None:
        super().__init__(reason, path=path, hint=hint)
        self.why = why


class NotTried(ResourceError):
    """The error of a song that was skipped after the failure of another."""

    @classmethod
    def because_of(cls, cause: Result, song: Path) -> NotTried:
        """Return the error of a ``song`` that was skipped because of ``cause``, with its code."""
        failed = "an earlier song" if cause.input == Path() else cause.input
        error = cls(f"skipped because {failed} failed", path=song)
        if cause.error is not None:
            error.exit_code = cause.error.exit_code
        return error


def not_tried(song: Path) -> NotTried:
    """Return the error of a skipped ``song`` if the cause is unknown."""
    return NotTried("skipped after the failure above", path=song)


def exit_code(errors: Sequence[StemsplitError | None]) -> ExitCode:
    """Return the exit code of a run with these ``errors``, None for each input without one.

    It is 0 if nothing failed, 6 if only some inputs failed, else that of the first failure.
    """
    failures = [error for error in errors if error is not None]
    if not failures:
        return ExitCode.DONE
    return failures[0].exit_code if len(failures) == len(errors) else ExitCode.PARTLY
