"""Finds, reads and creates the boxes of MP4 files. See ISO 14496-12."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

LONG_HEAD = 16  # bytes of the head of a box whose size does not fit into the first four
LARGEST_MOVIE = 2**24  # bytes of the tables of a video of a day
NOTHING = -1  # where an edit starts that plays nothing
#: iTunes' own declaration of what to trim, which ffmpeg prefers to that of the edit list.
ITUNES_GAPS = b"iTunSMPB"


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


def declared_frames(file: BinaryIO, stream: int, sample_rate: int) -> int | None:
    """Return the frames of audio stream ``stream`` (from 0), if its last packet is not all sound.

    Its duration is then shorter than that of the others; ffmpeg before version 6 and some decoders
    ignore that. None if there is nothing to cut, and for tables that are not as plain as that.
    """
    movie = find_movie(file)
    if movie is None or movie[1] > LARGEST_MOVIE:
        return None
    file.seek(movie[0])
    data = file.read(movie[1])
    sounds = [track for track in tracks(data) if _kind(data, track) == b"soun"]
    if stream >= len(sounds) or ITUNES_GAPS in data or find(data, b"moov", b"mvex"):
        return None
    track = sounds[stream]
    scale = _content(data, track, b"mdia", b"mdhd")
    at = 20 if scale[:1] == b"\1" else 12
    edits = _content(data, track, b"edts", b"elst")
    starts = [row[1] for row in _rows(edits, ">QqI" if edits[:1] == b"\1" else ">IiI")]
    starts = starts[1:] if starts[:1] == [NOTHING] else starts
    if int.from_bytes(scale[at : at + 4], "big") != sample_rate or len(starts) > 1:
        return None
    durations = _content(data, track, b"mdia", b"minf", b"stbl", b"stts")
    *whole, last = _rows(durations, ">II") or [(0, 0)]
    packet = whole[0][1] if whole else 0
    # A longer duration is a gap, of at least one packet; others are those of inexact recorders.
    plain = all(frames == packet or frames >= 2 * packet for _count, frames in whole)
    if not plain or last[0] != 1 or last[1] >= packet:
        return None
    return sum(count * frames for count, frames in (*whole, last)) - sum(starts)


def _rows(table: bytes, form: str) -> list[tuple[int, ...]]:
    """Return the rows of a full box, which follow its version, its flags and their number."""
    size, count = struct.calcsize(form), int.from_bytes(table[4:8], "big")
    rows = table[8:]
    return list(struct.iter_unpack(form, rows[: min(count, len(rows) // size) * size]))


def _kind(movie: bytes, track: tuple[int, int]) -> bytes:
    return _content(movie, track, b"mdia", b"hdlr")[8:12]


def _content(movie: bytes, track: tuple[int, int], *path: bytes) -> bytes:
    """Return the content of the box at ``path`` in ``track``; nothing if it does not exist."""
    place = find(movie, *path, start=track[0], end=track[1])
    return b"" if place is None else movie[slice(*place)]


def _measures(start: bytes | bytearray, left: int) -> tuple[int, int]:
    """Return the sizes (bytes) of a box and of its head, whose first 16 bytes are ``start``.

    ``left`` bytes remain up to the end of the box around it.
    """
    size = int.from_bytes(start[:4], "big")
    if size == 1:
        return int.from_bytes(start[8:LONG_HEAD], "big"), LONG_HEAD
    return size or left, 8  # 0: the last box, which extends to the end
