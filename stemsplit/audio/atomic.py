"""What happens whole or not at all: a small file, and steps that no signal may interrupt."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import threading
from collections.abc import Iterator
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


@contextlib.contextmanager
def signals_deferred() -> Iterator[None]:
    """Delay signals that would raise inside this block, until it is complete.

    So a child is not started, or a file made, without a note of it. Python runs the handlers in the
    main thread only: in other threads nothing needs to be delayed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: list[int] = []
    handlers = {
        number: handler
        for number in (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM))
        if callable(handler := signal.getsignal(number))
    }
    try:
        for number in handlers:
            signal.signal(number, lambda number, _frame: waiting.append(number))
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for number in waiting:
            signal.raise_signal(number)
