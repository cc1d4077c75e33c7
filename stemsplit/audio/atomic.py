"""Files that are written atomically, or synchronised to survive a power cut."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from stemsplit.audio.writable import ROOM, output_error


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` as `write_bytes` does."""
    lines = text.splitlines(keepends=True)
    write_bytes(path, (line.encode("utf-8", "surrogateescape") for line in lines))


def write_bytes(path: Path, pieces: Iterable[bytes], *, room: str = ROOM) -> None:
    """Write ``pieces`` to ``path``, replacing any existing file, and create missing folders.

    The file appears whole or not at all. Raises ``OutputError``, or ``ResourceError`` for a full
    disk, whose hint is ``room``.
    """
    part = part_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.writelines(pieces)
        os.replace(part, path)
    except (OSError, ValueError) as exc:
        raise output_error(exc, path, room=room) from exc
    finally:
        with contextlib.suppress(OSError, ValueError):
            part.unlink()


def part_of(target: Path, mark: str | None = None) -> Path:
    """Return a new name beside ``target``, containing ``mark``, for an incomplete file.

    The file is hidden, and no other process uses its name.
    """
    marked = "" if mark is None else f"{mark}-"
    return target.with_name(f".stemsplit-{marked}{os.urandom(8).hex()}.part")


def sync_file(path: Path) -> None:
    """Flush the content of ``path`` to the disk, so that it survives a power cut."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Flush the file names in ``folder`` to the disk, where the system supports that."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
