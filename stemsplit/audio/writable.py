"""Checks whether a file can be written, and explains why not."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from stemsplit.errors import DISK_FULL, OutputError, StemsplitError, disk_full

#: What to do about a full disk.
ROOM = "free some space, or choose another folder or --format flac or mp3"
#: What to do about a stem that already exists.
WAYS_OUT = "--force replaces it, --skip-existing keeps it, --out sets another folder"


def refuse_existing(path: Path, *, force: bool = False, hint: str = WAYS_OUT) -> None:
    """Raise ``OutputError``, with ``hint``, if something at ``path`` must not be replaced.

    With ``force`` a file may be replaced, but never a folder. Also raises ``OutputError`` if the
    folder of a new file cannot be created or written to.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        _refuse_folder_of(path)
        return
    except (OSError, ValueError) as exc:  # a name that is too long, or has a NUL byte
        raise output_error(exc, path) from exc
    if stat.S_ISDIR(mode):
        raise OutputError("is a folder", path=path)
    if not force:
        raise OutputError("already exists", path=path, hint=hint)
    _refuse_folder_of(path)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an ``OSError`` in this block into an error that explains why ``path`` is unwritable."""
    try:
        yield
    except OSError as exc:
        raise output_error(exc, path) from exc


def output_error(exc: OSError | ValueError, path: Path, *, room: str = ROOM) -> StemsplitError:
    """Return an error that explains why ``path`` is unwritable; ``room`` is the full-disk hint."""
    number, text = getattr(exc, "errno", None), getattr(exc, "strerror", None) or str(exc)
    if number in DISK_FULL:
        return disk_full(text, path, hint=room)
    if number == errno.ENOTDIR:
        file = next(each for each in path.parents if not each.is_dir() and os.path.lexists(each))
        return OutputError("is not a folder", path=file, hint=f"needed for {path}")
    return OutputError(f"cannot be written: {text}", path=path)


def why_unwritable(path: Path) -> OSError | None:
    """Return what prevents the file at ``path`` from growing, after writing to it has failed.

    libsndfile reports "System error" at most; another write reveals the cause.
    """
    try:
        with path.open("ab", buffering=0) as file:
            file.write(bytes(2**20))
    except OSError as exc:
        return exc
    return None


def _refuse_folder_of(path: Path) -> None:
    """Raise ``OutputError`` unless a file can be created at ``path``, with its missing folders.

    Only permissions are checked; other reasons for a refusal show when the file is created.
    """
    folder = next(folder for folder in path.absolute().parents if os.path.lexists(folder))
    if not folder.is_dir():
        raise output_error(NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)), path)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError("is not writable (permission denied)", path=folder)
