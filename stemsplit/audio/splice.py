"""Inserts bytes into the middle of a file, and removes them."""

from __future__ import annotations

from typing import BinaryIO

PIECE = 2**20  # bytes moved at a time


def splice(file: BinaryIO, start: int, removed: int, data: bytes) -> None:
    """Replace ``removed`` bytes from ``start`` on with ``data``, moving the rest of the file.

    ``file`` is open for reading and writing; memory use is bounded by ``data`` and one ``PIECE``.
    """
    source, target = start + removed, start + len(data)
    end = file.seek(0, 2)
    places = range(source, end, PIECE)
    # Copy from the end if the tail moves towards the end, so that it does not overwrite itself.
    for place in reversed(places) if target > source else places if target < source else ():
        file.seek(place)
        piece = file.read(min(PIECE, end - place))
        file.seek(place + target - source)
        file.write(piece)
    file.seek(start)
    file.write(data)
    file.truncate(end + target - source)
