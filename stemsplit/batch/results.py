"""What became of each input of a run."""

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
    """What became of one input.

    ``stems`` and ``projects`` are the files that were written; of a skipped input those that exist,
    in a dry run those that would be written; ``reason`` is why. A result that is ``done`` has an
    ``error`` where only scoring failed.
    """

    input: Path
    status: Status
    reason: Reason | None = None  # None: an error has another cause than outputs that exist
    stems: dict[str, Path] = field(default_factory=dict)
    projects: dict[Daw, Path] = field(default_factory=dict)
    sample_rate: int | None = None  # Hz, of the stems that were written
    channels: int | None = None
    frames: int | None = None  # of the song, at its own rate
    seconds: float = 0.0  # of wall clock, from the first segment until all files were in place
    warnings: tuple[str, ...] = ()  # damage, gaps and whatever else is worth knowing of the song
    error: StemsplitError | None = None
    scores: SongScores | None = None  # of the stems, if they were to be scored

    @classmethod
    def planned(cls, path: Path, status: Status, plan: SongPlan, reason: Reason) -> Result:
        """Return the result of an input whose outputs exist already, or would be written."""
        return cls(
            input=path, status=status, reason=reason, stems=plan.stems, projects=plan.projects
        )

    @classmethod
    def failed(cls, path: Path | str | None, error: StemsplitError) -> Result:
        """Return the result of the input ``path``, none of whose stems was written."""
        return cls(
            input=Path(path or ""),
            status="failed",
            reason=error.why if isinstance(error, InTheWay) else None,
            error=error,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """The scores of one song, or those of several sets of its stems, or why it has none."""

    name: str
    scores: SongScores | None = None
    sets: ComparedSong | None = None
    error: StemsplitError | None = None


def ends_all(result: Result | Scored, *, fail_fast: bool = False) -> bool:
    """Return whether the songs that follow are skipped: they would lack disk or memory too.

    With ``fail_fast``, any failure is reason enough.
    """
    return isinstance(result.error, ResourceError) or (fail_fast and result.error is not None)


class InTheWay(OutputError):
    """Outputs that exist already and must stay, and ``why``."""

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
        failed = "of a failure before it" if cause.input == Path() else f"{cause.input} failed"
        error = cls(f"not tried, because {failed}", path=song)
        if cause.error is not None:
            error.exit_code = cause.error.exit_code
        return error


def not_tried(song: Path) -> NotTried:
    """Return the error of a skipped ``song`` where the cause is not known."""
    return NotTried("skipped after the failure above", path=song)


def exit_code(errors: Sequence[StemsplitError | None]) -> ExitCode:
    """Return the exit code of a run with these ``errors``, None for each input without one.

    It is 0 if nothing failed, 6 if only some inputs did, else the code of the first failure.
    """
    failures = [error for error in errors if error is not None]
    if not failures:
        return ExitCode.DONE
    return failures[0].exit_code if len(failures) == len(errors) else ExitCode.PARTLY
