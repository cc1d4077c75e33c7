"""Small files that the program reads back: settings, manifests, locks, lists, records.

Anybody may have put something else in their place, so each is read in this way: only a regular file
is opened, because a pipe or a device may be waited for without end; no more is read than such a
file can need; and what is nested too deeply is damaged, not a crash.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from io import BufferedReader
from pathlib import Path
from typing import Any

#: The largest file that `read_small` takes, in bytes, unless its caller says otherwise. A manifest
#: has some kilobytes.
LARGEST = 4 * 2**20
#: The same for lists, of as many songs as there may be.
LARGEST_LIST = 64 * 2**20
#: Of lists inside lists. Nothing that this program writes has more than six.
DEEPEST = 50


class UnsuitableFile(OSError):
    """What is there is not a regular file, or larger than such a file can be."""


def open_regular(path: Path) -> BufferedReader:
    """Return the file at ``path`` for reading. Raises ``OSError`` unless it is a regular one."""
    # Looked at before, because opening a device may change it; and after, because it may be another
    # one by then.
    try:
        _refuse_irregular(os.stat(path), path)
    except OSError as exc:
        if exc.errno == errno.ELOOP:
            raise UnsuitableFile(errno.ELOOP, "is a loop of links", str(path)) from exc
        raise
    file = open(path, "rb", opener=_open_at_once)  # noqa: SIM115 - the caller's to close
    try:
        _refuse_irregular(os.fstat(file.fileno()), path)
    except BaseException:
        file.close()
        raise
    return file


def _open_at_once(path: str, flags: int) -> int:
    """Open ``path`` without waiting, as opening a pipe does until there is a writer."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _refuse_irregular(status: os.stat_result, path: Path) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(status.st_mode):
        raise UnsuitableFile(errno.EINVAL, "is not a regular file", str(path))


def read_small(path: Path, largest: int = LARGEST) -> bytes:
    """Return the bytes of the file at ``path``; of the null device, which stands for none, nothing.

    Raises ``OSError`` for what is not a regular file, and for more than ``largest`` bytes.
    """
    if os.fspath(path) == os.devnull:
        return b""
    with open_regular(path) as file:
        data = file.read(largest + 1)
    if len(data) > largest:
        reason = f"is larger than the {largest} bytes that such a file can have"
        raise UnsuitableFile(errno.EFBIG, reason, str(path))
    return data


def parse_json(text: bytes | str) -> Any:
    """Return what ``text`` says as JSON. Raises ``ValueError`` for anything else.

    JSON that is nested more than `DEEPEST` deep counts as something else.
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    refuse_deep(value)
    return value


def parse_toml(data: bytes) -> dict[str, Any]:
    """Return the tables of a TOML file. Raises ``ValueError`` as `parse_json` does."""
    import tomllib  # here, as most commands read none

    try:
        tables = tomllib.loads(data.decode())
    except RecursionError:
        raise ValueError("nested too deeply") from None
    refuse_deep(tables)
    return tables


def refuse_deep(value: object) -> None:
    """Raise ``ValueError`` where lists and tables in ``value`` are nested too deeply."""
    waiting = [(value, 0)]
    while waiting:
        each, depth = waiting.pop()
        if isinstance(each, dict | list):
            if depth >= DEEPEST:
                raise ValueError("nested too deeply")
            inside = each.values() if isinstance(each, dict) else each
            waiting += [(part, depth + 1) for part in inside if isinstance(part, dict | list)]
