"""Zip archives, as torch writes them: opened only if their table of contents is small."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

#: Exceptions for a zip archive that is damaged, encrypted, or compressed in an unknown way.
BAD_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, LookupError, RuntimeError, ValueError)
#: The largest table of contents that is read, in bytes: enough for some 30,000 tensors.
LARGEST_DIRECTORY = 4 * 2**20

#: The end record of an archive, which may be followed by a comment of up to 64 KiB, and its 64-bit
#: form.
_END, _END_64 = b"PK\x05\x06", b"PK\x06\x06"
_LONGEST_TAIL = 2**16 + 22 + 20 + 56


def open_zip(path: Path) -> zipfile.ZipFile:
    """Open the zip archive at ``path``; raise one of `BAD_ZIP` for a damaged or hostile one.

    ``zipfile`` turns the whole table of contents into objects, which takes gigabytes if an archive
    claims to have millions of members.
    """
    size = _directory_size(path)
    if size > LARGEST_DIRECTORY:
        raise zipfile.BadZipFile(f"its table of contents has {size} bytes")
    return zipfile.ZipFile(path)


def _directory_size(path: Path) -> int:
    """Return the size of the table of contents (bytes) in the end record; 0 without a record."""
    with path.open("rb") as file:
        length = file.seek(0, 2)
        file.seek(max(0, length - _LONGEST_TAIL))
        tail = file.read()
    sizes = [0]
    for mark, at, width in ((_END, 12, 4), (_END_64, 40, 8)):
        if (begin := tail.rfind(mark)) >= 0:
            sizes.append(int.from_bytes(tail[begin + at : begin + at + width], "little"))
    # In the short form, all bits are set if the long form applies.
    return max(size for size in sizes if size != 2**32 - 1)
