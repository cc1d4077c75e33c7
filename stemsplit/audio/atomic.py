"""Whether a file can be at a place, and why not; and small files, whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from pathlib import Path

from stemsplit.errors import DISK_FULL, OutputError, StemsplitError, disk_full

ROOM = "make room, or choose another folder, --format flac or mp3"


def refuse_folder_of(path: Path) -> None:
    """Raise ``OutputError`` unless a file can be made at ``path``, and the folders that it lacks.

    What the system refuses in spite of its permissions shows only when it is tried.
    """
    folder = next(folder for folder in path.absolute().parents if os.path.lexists(folder))
    if not folder.is_dir():
        raise output_error(NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)), path)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError("may not be written (permission denied)", path=folder)


def why_unwritable(path: Path) -> OSError | None:
    """Return what stops the file at ``path`` from growing, after something failed to write to it.

    libsndfile says "System error" at most; the cause shows when one writes on.
    """
    try:
        with path.open("ab", buffering=0) as file:
            file.write(bytes(2**20))
    except OSError as exc:
        return exc
    return None


def output_error(exc: OSError | ValueError, path: Path, *, room: str = ROOM) -> StemsplitError:
    """Return the error that tells why ``path`` cannot be written; ``room`` helps a full disk."""
    number, text = getattr(exc, "errno", None), getattr(exc, "strerror", None) or str(exc)
    if number in DISK_FULL:
        return disk_full(text, path, hint=room)
    if number == errno.ENOTDIR:
        return OutputError("its folder is in fact a file", path=path)
    return OutputError(f"cannot be written: {text}", path=path)


def sync_file(path: Path) -> None:
    """Have the system put the content of ``path`` on the disk, where a power cut does not reach."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Have the system put the names in ``folder`` on the disk; not every system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path``, over what is there, and make the folders that it lacks.

    The file appears whole or not at all. Raises ``OutputError``, or ``ResourceError`` for a full
    disk.
    """
    part = path.with_name(f".stemsplit-{secrets.token_hex(8)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8", errors="surrogateescape", newline="")
        os.replace(part, path)
    except (OSError, ValueError) as exc:
        raise output_error(exc, path) from exc
    finally:
        with contextlib.suppress(OSError, ValueError):
            part.unlink()
