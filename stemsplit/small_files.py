"""Small files that the program reads back: settings, manifests, locks, lists, records.

Something else may have been put in their place, so all of them are read defensively: only a regular
file is opened, because a pipe or a device may block forever; the size is limited; and content that
is nested too deeply is reported as damaged instead of causing a crash.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from io import BufferedReader
from pathlib import Path
from typing import Any

#: The largest file that `read_small` accepts by default, in bytes. A manifest has a few kilobytes.
LARGEST = 4 * 2**20
#: The same for lists, which may have any number of songs.
LARGEST_LIST = 64 * 2**20
#: The deepest nesting of lists and tables. Nothing that this program writes exceeds six.
DEEPEST = 50


class UnsuitableFile(OSError):
    """Not a regular file, or larger than such a file can be."""


def open_regular(path: Path) -> BufferedReader:
    """Open the file at ``path`` for reading. Raises ``OSError`` unless it is a regular file."""
    # Check before opening, because opening a device may have side effects; and again afterwards,
    # because the file may have been replaced in between.
    try:
        _refuse_irregular(os.stat(path), path)
    except OSError as exc:
        if exc.errno == errno.ELOOP:
            raise UnsuitableFile(errno.ELOOP, "is a loop of links", str(path)) from exc
        raise
    file = open(path, "rb", opener=_open_at_once)  # noqa: SIM115 - the caller closes it
    try:
        _refuse_irregular(os.fstat(file.fileno()), path)
    except BaseException:
        file.close()
        raise
    return file


def _open_at_once(path: str, flags: int) -> int:
    """Open ``path`` without blocking; opening a pipe would wait for a writer."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _refuse_irregular(status: os.stat_result, path: Path) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(status.st_mode):
        raise UnsuitableFile(errno.EINVAL, "is not a regular file", str(path))


def read_small(path: Path, largest: int = LARGEST) -> bytes:
    """Return the bytes of the file at ``path``; the null device counts as an empty file.

    Raises ``OSError`` if it is not a regular file, or has more than ``largest`` bytes.
    """
    if os.fspath(path) == os.devnull:
        return b""
    with open_regular(path) as file:
        data = file.read(largest + 1)
    if len(data) > largest:
        reason = f"is larger than the {largest} bytes allowed for such a file"
        raise UnsuitableFile(errno.EFBIG, reason, str(path))
    return data


def parse_json(text: bytes | str) -> Any:
    """Parse ``text`` as JSON. Raises ``ValueError`` if it is invalid.

    JSON that is nested more than `DEEPEST` levels deep counts as invalid.
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    refuse_deep(value)
    return value


def parse_toml(data: bytes) -> dict[str, Any]:
    """Parse the content of a TOML file. Raises ``ValueError`` as `parse_json` does."""
    import tomllib  # imported late: most commands read no TOML

    try:
        tables = tomllib.loads(data.decode())
    except RecursionError:
        raise ValueError("nested too deeply") from None
    refuse_deep(tables)
    return tables


def refuse_deep(value: object) -> None:
    """Raise ``ValueError`` if lists and tables in ``value`` are nested too deeply."""
    pending = [(value, 0)]
    while pending:
        each, depth = pending.pop()
        if isinstance(each, dict | list):
            if depth >= DEEPEST:
                raise ValueError("nested too deeply")
            inside = each.values() if isinstance(each, dict) else each
            pending += [(part, depth + 1) for part in inside if isinstance(part, dict | list)]
