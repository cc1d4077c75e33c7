"""Git LFS pointers: the text files that take the place of large files that were not fetched.

A repository stores large files elsewhere. A clone without Git LFS, a source archive, or the wrong
kind of URL provides a pointer instead: a few lines of text with the SHA-256 and the size of the
file. Source: the specification in git-lfs, docs/spec.md.
"""

from __future__ import annotations

import re
from pathlib import Path

from stemsplit.errors import StemsplitError
from stemsplit.small_files import open_regular

#: Pointers are smaller than this, in bytes.
LARGEST_POINTER = 1024
_POINTER = re.compile(rb"version https://[^\n]*/spec/v1\n(?:.*\n)*?size (\d+)\n")


def size_behind(start: bytes) -> int | None:
    """Return the size of the file that the pointer ``start`` refers to; None if not a pointer."""
    match = _POINTER.match(start[:LARGEST_POINTER])
    return None if match is None else int(match[1])


def refuse_pointer(path: Path, error: type[StemsplitError]) -> None:
    """Raise ``error`` if the file at ``path`` is a pointer, ``OSError`` like `open`."""
    with open_regular(path) as file:
        size = size_behind(file.read(LARGEST_POINTER))
    if size is not None:
        raise error(
            f"a Git LFS pointer: the actual file ({_in_words(size)}) was not fetched",
            path=path,
            hint="in its repository, run: git lfs pull; or download the file from its web page",
        )


def _in_words(size: int) -> str:
    if size < 1000:
        return f"{size} bytes"
    return f"{size / 1e3:.1f} kB" if size < 1e6 else f"{size / 1e6:.1f} MB"
