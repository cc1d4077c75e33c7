"""Chunks, of which WAV, RF64, AIFF, Wave64 and CAF are made: a name, a size and a body."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal, TypeAlias

Order: TypeAlias = Literal["<", ">"]

MOST_CHUNKS = 1000
WIDE_SIZES = 16  # bytes at the start of ds64: the true sizes of an RF64 and of its samples


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkLayout:
    """How the chunks of a container follow each other."""

    start: int  # bytes before the first one
    head: struct.Struct  # its name and its size
    counts_head: bool = False  # whether the size includes the head
    multiple: int = 1  # of bytes, that a body is padded to


RIFF = ChunkLayout(start=12, head=struct.Struct("<4sI"), multiple=2)
AIFF = ChunkLayout(start=12, head=struct.Struct(">4sI"), multiple=2)
WAVE64 = ChunkLayout(start=40, head=struct.Struct("<4s12xQ"), counts_head=True, multiple=8)
CAF = ChunkLayout(start=8, head=struct.Struct(">4sq"))


def chunk(name: bytes, body: bytes, order: Order = "<") -> bytes:
    """Return ``body`` with its header, padded to an even number of bytes."""
    return struct.pack(f"{order}4sI", name, len(body)) + body + bytes(len(body) % 2)


def walk(file: BinaryIO, layout: ChunkLayout) -> Iterator[tuple[bytes, int]]:
    """Yield name and size (bytes) of each chunk of ``file``, which is then at its body.

    The caller may read on from there. The size of ``data`` is the one in ``ds64``, where that comes
    first, as in an RF64; it may be below zero, as in a CAF of unknown length. The walk ends after
    such a one, and with the file.
    """
    end = file.seek(0, 2)
    place = layout.start
    samples: int | None = None
    for _ in range(MOST_CHUNKS):
        if place + layout.head.size > end:
            return
        file.seek(place)
        name, size = layout.head.unpack(file.read(layout.head.size))
        place += layout.head.size
        if layout.counts_head:
            size -= layout.head.size
        if name == b"ds64" and size >= WIDE_SIZES:
            samples = int.from_bytes(file.read(WIDE_SIZES)[8:], "little")
            file.seek(place)
        elif name == b"data" and samples is not None:
            size = samples
        if size >= 0 or name == b"data":
            yield name, size
        if size < 0:
            return
        place += size + -size % layout.multiple
