"""Zip archives, as torch writes them: opened only if their table of contents is small."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Exceptions for a zip archive that is damaged, encrypted, or compressed in an unknown way.
BAD_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, LookupError, RuntimeError, ValueError)
#: The largest table of contents that is read, in bytes: enough for some 30,000 tensors.
LARGEST_DIRECTORY = 4 * 2**20


@contextmanager
def open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open the zip archive at ``path``; raise one of `BAD_ZIP` for a damaged or hostile one.

    ``zipfile`` turns the whole table of contents into objects, which takes gigabytes if an archive
    claims to have millions of members.
    """
    with _LimitedReader(io.FileIO(path)) as file, zipfile.ZipFile(file) as archive:
        file.is_open = True
        yield archive


class _LimitedReader(io.BufferedReader):
    """A file from which ``zipfile``, while opening it, cannot read a large table of contents.

    ``zipfile`` reads the table at once, with the size in the end record. A second search for that
    record would not be safe: a hostile file could make it find a different one.
    """

    is_open = False

    def read(self, size: int | None = -1) -> bytes:
        if not self.is_open and size is not None and size > LARGEST_DIRECTORY:
            raise zipfile.BadZipFile(f"its table of contents has {size} bytes")
        return super().read(size)
