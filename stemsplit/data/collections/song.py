"""One song of a data set, and what every layout needs to find it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from stemsplit.data.stems import StemFiles
from stemsplit.errors import InputError

#: Names of folders for parts of a data set.
SPLITS = {
    **dict.fromkeys(("train", "training", "dev"), "train"),
    **dict.fromkeys(("valid", "validation", "val"), "valid"),
    "test": "test",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSong:
    """A song and the files of its sources.

    A song with a ``problem`` cannot be used; it is part of the data set, so that it is reported.
    """

    name: str  # unique in its data set: path from the root, with slashes
    split: str | None  # "train", "valid" or "test" where the layout says so
    stems: Mapping[str, StemFiles] = field(default_factory=dict)  # by source
    mixture: StemFiles | None = None
    problem: str | None = None
    remarks: tuple[str, ...] = ()  # what a person should know: bleed, files that are in no stem


def split_of(root: Path, relative: PurePosixPath) -> str | None:
    """Return the part of the data set at ``root`` that a song at ``relative`` belongs to.

    The first folder named as in ``SPLITS`` decides; the root itself may be one.
    """
    names = (root.resolve().name, *relative.parts[:-1])
    return next((SPLITS[name.lower()] for name in names if name.lower() in SPLITS), None)


def identify(root: Path, folder: Path) -> tuple[str, str | None]:
    """Return the name of the song in ``folder``, and its part of the data set at ``root``."""
    relative = PurePosixPath(folder.relative_to(root).as_posix())
    name = folder.resolve().name if folder == root else str(relative)
    return name, split_of(root, relative)


def walk_folders(root: Path, depth: int) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Yield ``root`` and the folders below it, each with the names of its folders and files.

    Names are sorted, hidden ones left out. A folder is entered once, even if links lead to it
    again. The caller may remove names of folders, which are then not entered. Raises ``InputError``
    for a folder that cannot be read.
    """
    seen: set[Path] = set()
    pending = [(root, depth)]
    while pending:
        folder, left = pending.pop()
        if (identity := folder.resolve()) in seen:
            continue
        seen.add(identity)
        folders, files = _names_in(folder)
        yield folder, folders, files
        if left:
            pending += [(folder / name, left - 1) for name in reversed(folders)]


def _names_in(folder: Path) -> tuple[list[str], list[str]]:
    try:
        with os.scandir(folder) as entries:
            found = sorted(
                (entry.name, entry.is_dir()) for entry in entries if not entry.name.startswith(".")
            )
    except OSError as exc:
        raise InputError(f"cannot be read: {exc.strerror}", path=folder) from exc
    return [name for name, is_dir in found if is_dir], [
        name for name, is_dir in found if not is_dir
    ]
