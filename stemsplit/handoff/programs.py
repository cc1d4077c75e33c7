"""Which programs stems can be laid out for, and what each of them takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import BinaryIO, cast, get_args

from stemsplit.audio.atomic import output_error, sync_file
from stemsplit.errors import UsageError
from stemsplit.handoff import dawproject, reaper
from stemsplit.handoff.session import Session
from stemsplit.types import Daw, Format


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """How a project of one program is written, of stems in which formats."""

    extension: str
    formats: tuple[Format, ...]
    write: Callable[[Session, Path, BinaryIO], None]


PROGRAMS: dict[Daw, Program] = {
    "reaper": Program(extension="rpp", formats=tuple(reaper.SOURCES), write=reaper.write),
    "dawproject": Program(
        extension="dawproject", formats=dawproject.FORMATS, write=dawproject.write
    ),
}


def parse_daws(names: Sequence[str]) -> tuple[Daw, ...]:
    """Return ``names`` of programs, each once. Raises ``UsageError`` for an unknown one."""
    for name in names:
        if name not in PROGRAMS:
            near = get_close_matches(name, PROGRAMS, n=1)
            known = f"it is one of: {', '.join(get_args(Daw))}"
            raise UsageError(
                f"unknown DAW {name!r}", hint=f"did you mean {near[0]}?" if near else known
            )
    return cast(tuple[Daw, ...], tuple(dict.fromkeys(names)))


def check_daws(daws: Sequence[Daw], format: Format) -> None:
    """Raise ``UsageError`` where one of ``daws`` cannot be handed stems of ``format``."""
    for daw in daws:
        formats = PROGRAMS[daw].formats
        if format not in formats:
            raise UsageError(
                f"a project of {daw} takes no stems of {format}",
                hint=f"--format {', '.join(formats[:-1])} or {formats[-1]}",
            )


def fitting_daws(daws: Sequence[Daw], format: Format) -> tuple[Daw, ...]:
    """Return those of ``daws`` that take stems of ``format``.

    What is settled once, for all songs, must not stand in the way of another format today.
    """
    return tuple(daw for daw in daws if format in PROGRAMS[daw].formats)


def check_names(daws: Sequence[Daw], stems: Sequence[str]) -> None:
    """Raise ``UsageError`` where one of ``stems`` has the name of a project."""
    if same := set(daws) & set(stems):
        raise UsageError(f"two outputs are called {min(same)}")


def write_project(daw: Daw, session: Session, target: Path, temporary: Path) -> None:
    """Write the project of ``session`` for ``daw``, to be moved to ``target``, at ``temporary``.

    Raises ``OutputError``, or ``ResourceError`` for a full disk.
    """
    try:
        with temporary.open("wb") as file:
            PROGRAMS[daw].write(session, target, file)
        sync_file(temporary)
    except OSError as exc:
        raise output_error(exc, target) from exc
