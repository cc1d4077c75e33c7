"""Git LFS: what is in the place of a large file where only its name was fetched.

A repository keeps large files elsewhere. A clone without Git LFS, an archive of the source, and an
address of the wrong kind give a few lines of text instead, a pointer, which has the SHA-256 and the
size of the file. Source: the specification in git-lfs, docs/spec.md.
"""

from __future__ import annotations

import re
from pathlib import Path

from stemsplit.errors import CheckpointError
from stemsplit.small_files import open_regular

#: A pointer is smaller than this, in bytes.
LARGEST_POINTER = 1024
_POINTER = re.compile(rb"version https://[^\n]*/spec/v1\n(?:.*\n)*?size (\d+)\n")


def size_behind(start: bytes) -> int | None:
    """Return the size of the file that ``start``, the bytes of a pointer, stands for, or None."""
    match = _POINTER.match(start[:LARGEST_POINTER])
    return None if match is None else int(match[1])


def refuse_pointer(path: Path) -> None:
    """Raise ``CheckpointError`` if the file at ``path`` is a pointer, and ``OSError`` as `open`."""
    with open_regular(path) as file:
        size = size_behind(file.read(LARGEST_POINTER))
    if size is not None:
        raise CheckpointError(
            f"a Git LFS pointer: the file itself, of {size / 1e6:.1f} MB, was not fetched",
            path=path,
            hint="in its repository, run: git lfs pull; or download the file from its page",
        )
