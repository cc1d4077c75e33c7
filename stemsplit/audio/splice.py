"""Putting bytes into the middle of a file, and taking them out."""

from __future__ import annotations

from typing import BinaryIO

PIECE = 2**20  # bytes moved at a time


def splice(file: BinaryIO, start: int, removed: int, data: bytes) -> None:
    """Put ``data`` in the place of the ``removed`` bytes from ``start`` on; the rest moves.

    ``file`` is open for reading and writing; it takes no more memory than ``data`` and a piece.
    """
    source, target = start + removed, start + len(data)
    end = file.seek(0, 2)
    places = range(source, end, PIECE)
    # A tail that moves towards the end is moved from its end on.
    for place in reversed(places) if target > source else places if target < source else ():
        file.seek(place)
        piece = file.read(min(PIECE, end - place))
        file.seek(place + target - source)
        file.write(piece)
    file.seek(start)
    file.write(data)
    file.truncate(end + target - source)
