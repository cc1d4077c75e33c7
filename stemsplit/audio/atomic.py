"""Small files that appear whole or not at all, and what keeps them through a power cut."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from stemsplit.audio.writable import output_error


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path``, replacing what is there, and make missing folders.

    The file appears whole or not at all. Raises ``OutputError``, or ``ResourceError`` for a full
    disk.
    """
    part = part_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8", errors="surrogateescape", newline="")
        os.replace(part, path)
    except (OSError, ValueError) as exc:
        raise output_error(exc, path) from exc
    finally:
        with contextlib.suppress(OSError, ValueError):
            part.unlink()


def part_of(target: Path, mark: str | None = None) -> Path:
    """Return a new name beside ``target`` for a file that is not complete, with ``mark`` in it.

    The name is hidden, and no other process has it.
    """
    marked = "" if mark is None else f"{mark}-"
    return target.with_name(f".stemsplit-{marked}{secrets.token_hex(8)}.part")


def sync_file(path: Path) -> None:
    """Make the system put the content of ``path`` on the disk, where it survives a power cut."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make the system put the names in ``folder`` on the disk; not every system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
