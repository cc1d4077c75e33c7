"""Whether a file can be written at a place, and why not."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from stemsplit.errors import DISK_FULL, OutputError, StemsplitError, disk_full

#: What to do about a full disk.
ROOM = "make room, or choose another folder, --format flac or mp3"
#: What to do about a stem that exists already.
WAYS_OUT = "--force replaces it, --skip-existing leaves it, --out names another folder"


def refuse_existing(path: Path, *, force: bool = False, hint: str = WAYS_OUT) -> None:
    """Raise ``OutputError``, with a ``hint``, if something is at ``path`` that must stay.

    With ``force`` a file may be replaced, but never a folder. A new file is refused too where its
    folder cannot be made or written to.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        _refuse_folder_of(path)
        return
    except (OSError, ValueError) as exc:  # a name too long, or with a NUL byte
        raise output_error(exc, path) from exc
    if stat.S_ISDIR(mode):
        raise OutputError("is a folder", path=path)
    if not force:
        raise OutputError("exists already", path=path, hint=hint)
    _refuse_folder_of(path)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an ``OSError`` of this block into the error that says why ``path`` cannot be written."""
    try:
        yield
    except OSError as exc:
        raise output_error(exc, path) from exc


def output_error(exc: OSError | ValueError, path: Path, *, room: str = ROOM) -> StemsplitError:
    """Return the error that says why ``path`` cannot be written; ``room`` is for a full disk."""
    number, text = getattr(exc, "errno", None), getattr(exc, "strerror", None) or str(exc)
    if number in DISK_FULL:
        return disk_full(text, path, hint=room)
    if number == errno.ENOTDIR:
        return OutputError("its folder is in fact a file", path=path)
    return OutputError(f"cannot be written: {text}", path=path)


def why_unwritable(path: Path) -> OSError | None:
    """Return what stops the file at ``path`` from growing, after writing to it has failed.

    libsndfile says "System error" at most; the cause shows when one writes on.
    """
    try:
        with path.open("ab", buffering=0) as file:
            file.write(bytes(2**20))
    except OSError as exc:
        return exc
    return None


def _refuse_folder_of(path: Path) -> None:
    """Raise ``OutputError`` unless a file can be made at ``path``, with its missing folders.

    What the system refuses in spite of its permissions shows only when it is tried.
    """
    folder = next(folder for folder in path.absolute().parents if os.path.lexists(folder))
    if not folder.is_dir():
        raise output_error(NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)), path)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError("may not be written (permission denied)", path=folder)
