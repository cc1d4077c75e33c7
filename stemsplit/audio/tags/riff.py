"""The chunks of WAV and AIFF that describe a song: LIST INFO, bext, id3 and AIFF's text chunks."""

from __future__ import annotations

import struct
from typing import BinaryIO

from stemsplit.audio.chunks import AIFF, RIFF, Order, chunk, walk
from stemsplit.audio.tags import id3
from stemsplit.audio.tags.fields import BY_AIFF, BY_INFO
from stemsplit.audio.tags.model import Broadcast, Collector, Tags

#: The fixed part of bext (EBU Tech 3285 v2): texts, place, version, UMID, loudness, reserved.
BEXT = struct.Struct("<256s32s32s10s8sQH64s10s180s")
LARGEST_HISTORY = 2**16
ID3_NAMES = (b"id3 ", b"ID3 ")


def read_wav(file: BinaryIO, found: Collector) -> None:
    """Add the tags of a RIFF or RF64 ``file`` to ``found``. Raises ``DamagedTags``."""
    rate = 0
    info = b""
    broadcast = b""
    for name, size in walk(file, RIFF):
        if name == b"fmt ":
            rate = int.from_bytes(file.read(16)[4:8], "little")
        elif name == b"bext" and size >= BEXT.size:
            broadcast = file.read(min(size, BEXT.size + LARGEST_HISTORY))
        elif name == b"LIST" and 4 <= size <= id3.LARGEST_TAG and file.read(4) == b"INFO":
            info = file.read(size - 4)
        elif name in ID3_NAMES:
            _read_id3(file.read(min(size, id3.LARGEST_TAG)), found)
    if broadcast and rate:
        found.broadcast = _broadcast(broadcast, rate)
    # ID3 has more fields and no length limits, so it takes precedence.
    _read_texts(info, found)


def read_aiff(file: BinaryIO, found: Collector) -> None:
    """Add the tags in the chunks of an AIFF or AIFF-C ``file`` to ``found``."""
    texts: list[tuple[str, str]] = []
    for name, size in walk(file, AIFF):
        if name in ID3_NAMES:
            _read_id3(file.read(min(size, id3.LARGEST_TAG)), found)
        elif field := BY_AIFF.get(name.decode("latin-1")):
            texts.append((field, _text(file.read(min(size, LARGEST_HISTORY)))))
    for field, text in texts:
        found.add(field, [text])


def _read_id3(data: bytes, found: Collector) -> None:
    if id3.size_of(data[: id3.HEADER_SIZE]):
        id3.read(data, found)


def _read_texts(info: bytes, found: Collector) -> None:
    place = 0
    while place + 8 <= len(info):
        name, size = struct.unpack_from("<4sI", info, place)
        if field := BY_INFO.get(name.decode("latin-1")):
            found.add(field, [_text(info[place + 8 :][:size])])
        place += 8 + size + size % 2


def _text(data: bytes) -> str:
    """Decode a text whose encoding is not declared."""
    until = data.split(b"\0")[0]
    try:
        return until.decode("utf-8")
    except UnicodeDecodeError:
        return until.decode("cp1252", "replace")


def _broadcast(data: bytes, sample_rate: int) -> Broadcast:
    description, originator, reference, date, time, place, *_ = BEXT.unpack_from(data)
    return Broadcast(
        description=description.rstrip(b"\0"),
        originator=originator.rstrip(b"\0"),
        originator_reference=reference.rstrip(b"\0"),
        date=date,
        time=time,
        time_reference=place,
        sample_rate=sample_rate,
        coding_history=data[BEXT.size :].split(b"\0")[0],
    )


def wav_before(tags: Tags, sample_rate: int) -> bytes:
    """Return the chunk before the samples: bext, if the song had one.

    What describes the song only (loudness, UMID) is left empty, as in version 1 without a UMID.
    Every stem gets the song's place in the session.
    """
    if tags.broadcast is None:
        return b""
    broadcast = tags.broadcast.at(sample_rate)
    body = BEXT.pack(
        broadcast.description,
        broadcast.originator,
        broadcast.originator_reference,
        broadcast.date,
        broadcast.time,
        broadcast.time_reference % 2**64,
        1,
        b"",
        b"",
        b"",
    )
    # Keep the length even: libsndfile misreads an RF64 after an odd chunk, padded or not.
    history = broadcast.coding_history + bytes(len(broadcast.coding_history) % 2)
    return chunk(b"bext", body + history)


def wav_after(tags: Tags) -> bytes:
    """Return the chunks after the samples: INFO for many readers, ID3 for the rest."""
    texts = b"".join(
        chunk(name.encode(), tags.texts[field][0].encode() + b"\0")
        for name, field in BY_INFO.items()
        if field in tags.texts
    )
    info = chunk(b"LIST", b"INFO" + texts) if texts else b""
    return info + _id3_chunk(tags, b"id3 ", "<")


def aiff_after(tags: Tags) -> bytes:
    """Return the chunks after the samples of an AIFF: its text chunks, and ID3.

    The text chunks are ASCII only, because readers disagree about other encodings.
    """
    texts = b"".join(
        chunk(name.encode(), tags.texts[field][0].encode(), ">")
        for name, field in BY_AIFF.items()
        if field in tags.texts and tags.texts[field][0].isascii()
    )
    return texts + _id3_chunk(tags, b"ID3 ", ">")


def _id3_chunk(tags: Tags, name: bytes, order: Order) -> bytes:
    data = id3.written(tags)
    return chunk(name, data, order) if data else b""
