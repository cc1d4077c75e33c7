"""The programs that projects are written for, and the formats of stems that they support."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, get_args

from stemsplit.audio.atomic import sync_file
from stemsplit.audio.format_table import FORMATS
from stemsplit.audio.formats import alternatives
from stemsplit.audio.writable import writing
from stemsplit.errors import UsageError
from stemsplit.types import Daw, Format

if TYPE_CHECKING:
    from stemsplit.handoff.session import Session


class Program(NamedTuple):
    """How a project for one program is written; see the table of formats for the stems.

    ``module`` is imported when a project is written. Its ``write(session, target, file)`` writes
    the project for the path ``target`` to the open ``file``, and returns warnings.
    """

    extension: str
    module: str


PROGRAMS: dict[Daw, Program] = {
    "reaper": Program(extension="rpp", module="stemsplit.handoff.reaper"),
    "dawproject": Program(extension="dawproject", module="stemsplit.handoff.dawproject"),
}


#: Programs and files by other names, and the project to write for them.
_OTHER_NAMES: dict[str, Daw] = {
    **dict.fromkeys(("bitwig", "cubase", "studioone", "studio one", "studio-one"), "dawproject"),
    "rpp": "reaper",
}


def require_known(daws: Sequence[str]) -> None:
    """Raise ``UsageError`` for an unknown program."""
    for name in daws:
        if name not in PROGRAMS:
            raise UsageError(f"unknown DAW {name!r}", hint=_meant(name.lower()))


def _meant(name: str) -> str:
    """Return a hint at the program that ``name`` may mean."""
    if name in _OTHER_NAMES:
        return f"--daw {_OTHER_NAMES[name]} writes a project that it opens"
    from difflib import get_close_matches  # imported late: few names are unknown

    if near := get_close_matches(name, PROGRAMS, n=1):
        return f"did you mean {near[0]}?"
    known = " or ".join(get_args(Daw))
    return f"choose {known}; in any other DAW, drag all stems to the start of a project"


def check_daws(daws: Sequence[Daw], format: Format) -> None:
    """Raise ``UsageError`` for a program that is unknown or cannot use ``format`` stems."""
    require_known(daws)
    for daw in daws:
        if not _can_use(daw, format):
            usable = [name for name in FORMATS if _can_use(daw, name)]
            raise UsageError(
                f"{daw} projects cannot use {format} stems",
                hint=f"--format {alternatives(usable)}",
            )


def fitting_daws(daws: Sequence[Daw], format: Format) -> tuple[Daw, ...]:
    """Return those of ``daws`` whose projects can use stems of ``format``.

    A general setting, as in a configuration file, must not prevent the use of another format.
    """
    return tuple(daw for daw in daws if _can_use(daw, format))


def check_names(daws: Sequence[Daw], stems: Sequence[str]) -> None:
    """Raise ``UsageError`` if one of ``stems`` has the name of a project."""
    if same := set(daws) & set(stems):
        raise UsageError(f"two outputs are called {min(same)}")


def write_project(daw: Daw, session: Session, target: Path, temporary: Path) -> list[str]:
    """Write the project of ``session`` for ``daw`` to ``temporary``, to be moved to ``target``.

    Returns warnings. Raises ``OutputError``, or ``ResourceError`` for a full disk.
    """
    with writing(target):
        with temporary.open("wb") as file:
            module = import_module(PROGRAMS[daw].module)
            warnings: list[str] = module.write(session, target, file)
        sync_file(temporary)
    return warnings


def _can_use(daw: Daw, format: Format) -> bool:
    return daw in FORMATS[format].projects
