"""Finds and creates the boxes of MP4 files. See ISO 14496-12."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

LONG_HEAD = 16  # bytes of the head of a box whose size does not fit into the first four


def box(name: bytes, *parts: bytes) -> bytes:
    """Return the box ``name`` around ``parts``."""
    body = b"".join(parts)
    return (8 + len(body)).to_bytes(4, "big") + name + body


def boxes(
    data: bytes | bytearray, start: int = 0, end: int | None = None
) -> Iterator[tuple[bytes | bytearray, int, int]]:
    """Yield the name, and start and end of the content, of each box in ``start`` to ``end``."""
    end = len(data) if end is None else end
    while start + 8 <= end:
        size, head = _measures(data[start : start + LONG_HEAD], end - start)
        if size < head or start + size > end:
            return
        yield data[start + 4 : start + 8], start + head, start + size
        start += size


def find(
    data: bytes | bytearray, *path: bytes, start: int = 0, end: int | None = None
) -> tuple[int, int] | None:
    """Return start and end of the content of the box at ``path`` between ``start`` and ``end``."""
    end = len(data) if end is None else end
    for name in path:
        inner = next(((s, e) for found, s, e in boxes(data, start, end) if found == name), None)
        if inner is None:
            return None
        start, end = inner
    return start, end


def find_movie(file: BinaryIO) -> tuple[int, int] | None:
    """Return start and size of the box ``moov`` of ``file``."""
    place, end = 0, file.seek(0, 2)
    while place + 8 <= end:
        file.seek(place)
        start = file.read(LONG_HEAD)
        size, head = _measures(start, end - place)
        if size < head or place + size > end:
            return None
        if start[4:8] == b"moov":
            return place, size
        place += size
    return None


def tracks(movie: bytes | bytearray) -> list[tuple[int, int]]:
    """Return start and end of the content of each track of ``movie``, a box ``moov``."""
    return [(start, end) for name, start, end in boxes(movie, 8) if name == b"trak"]


def _measures(start: bytes | bytearray, left: int) -> tuple[int, int]:
    """Return the sizes (bytes) of a box and of its head, whose first 16 bytes are ``start``.

    ``left`` bytes remain up to the end of the box around it.
    """
    size = int.from_bytes(start[:4], "big")
    if size == 1:
        return int.from_bytes(start[8:LONG_HEAD], "big"), LONG_HEAD
    return size or left, 8  # 0: the last box, which extends to the end
