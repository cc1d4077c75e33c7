"""The boxes of an MP4 that ffmpeg wrote: how many frames it says it holds, and its tags.

See ISO 14496-12; its ``moov`` comes last, so that it can grow. All tracks are of one length.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from stemsplit.audio.splice import splice
from stemsplit.errors import StemsplitError

#: Boxes that hold nothing but boxes.
PARENTS = (b"moov", b"trak", b"mdia", b"edts", b"udta")
AAC_PACKET = 1024  # frames


def box(name: bytes, *parts: bytes) -> bytes:
    """Return the box ``name`` around ``parts``."""
    body = b"".join(parts)
    return (8 + len(body)).to_bytes(4, "big") + name + body


def boxes(
    data: bytes | bytearray, start: int = 0, end: int | None = None
) -> Iterator[tuple[bytes | bytearray, int, int]]:
    """Yield name, start and end of the content of each box between ``start`` and ``end``."""
    end = len(data) if end is None else end
    while start + 8 <= end:
        size, name = int.from_bytes(data[start : start + 4], "big"), data[start + 4 : start + 8]
        head = 8
        if size == 1:  # the true size is too large for its place
            size, head = int.from_bytes(data[start + 8 : start + 16], "big"), 16
        elif size == 0:
            size = end - start
        if size < head or start + size > end:
            return
        yield name, start + head, start + size
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
        head = file.read(16)
        size = int.from_bytes(head[:4], "big")
        if size == 1:
            size = int.from_bytes(head[8:], "big")
        elif size == 0:
            size = end - place
        if size < 8 or place + size > end:
            return None
        if head[4:8] == b"moov":
            return place, size
        place += size
    return None


def silence_before(frames: int) -> int:
    """Return how many frames of silence before ``frames`` of AAC make these end with a packet.

    Many readers (ffmpeg 5, PyAV 18) cut off all that an edit list leaves out before the sound, but
    of what it leaves out at the end whole packets only: there is to be nothing. Not of less than a
    packet: of one in which the sound both starts and ends the same readers make nothing at all.
    """
    return -frames % AAC_PACKET if frames >= AAC_PACKET else 0


def complete(path: Path, *, frames: int, silence: int, sample_rate: int, tags: bytes) -> None:
    """Make the MP4 at ``path`` say that it holds exactly ``frames`` of audio, and give it ``tags``.

    They come after what the encoder added and after ``silence``, frames that ffmpeg was given
    before them: the edit list cuts off both. Older ffmpegs count its length in milliseconds: the
    stem would be up to 47 frames too short. Here it is counted in frames. ``tags`` are the content
    of ``udta``. Raises ``StemsplitError`` where ffmpeg wrote another file.
    """
    with path.open("r+b") as file:
        movie = find_movie(file)
        if movie is None or sum(movie) != file.seek(0, 2):
            raise StemsplitError("ffmpeg wrote no movie box at the end", path=path)
        start, size = movie
        file.seek(start)
        data = bytearray(file.read(size))
        for at, value in _numbers(data, frames, silence, sample_rate, path):
            data[at : at + 4] = value.to_bytes(4, "big")
        data = _without_user_data(data) + box(b"udta", tags) if tags else _without_user_data(data)
        data[:4] = len(data).to_bytes(4, "big")
        splice(file, start, size, bytes(data))


def tracks(movie: bytes | bytearray) -> list[tuple[int, int]]:
    """Return start and end of the content of each track of ``movie``, a box ``moov``."""
    return [(start, end) for name, start, end in boxes(movie, 8) if name == b"trak"]


def _numbers(
    movie: bytearray, frames: int, silence: int, sample_rate: int, path: Path
) -> Iterator[tuple[int, int]]:
    """Yield the places in ``movie`` of lengths, their unit and starts, and what is to be there."""
    whole = (8, len(movie))
    header = _content(movie, whole, (b"mvhd",), path)
    yield header + 12, sample_rate
    yield header + 16, frames
    for track in tracks(movie):
        yield _content(movie, track, (b"tkhd",), path) + 20, frames
        edit = _content(movie, track, (b"edts", b"elst"), path)
        yield edit + 8, frames
        added = int.from_bytes(movie[edit + 12 : edit + 16], "big")
        yield edit + 12, added + silence


def _content(
    movie: bytearray, inside: tuple[int, int], names: tuple[bytes, ...], path: Path
) -> int:
    start, end = inside
    found = find(movie, *names, start=start, end=end)
    if found is None or movie[found[0]] != 0:  # version 1 is for times beyond 2040
        raise StemsplitError(f"ffmpeg wrote no {names[-1].decode()} box", path=path)
    return found[0]


def _without_user_data(movie: bytearray) -> bytearray:
    inside = find(movie, b"moov", b"udta")
    return movie if inside is None else movie[: inside[0] - 8] + movie[inside[1] :]
