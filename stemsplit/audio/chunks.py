"""The chunks that WAV, RF64, AIFF, Wave64 and CAF consist of: a name, a size and a body."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO, Literal, NamedTuple, TypeAlias

Order: TypeAlias = Literal["<", ">"]

MOST_CHUNKS = 1000
WIDE_SIZES = 16  # bytes at the start of ds64: the 64-bit sizes of an RF64 file and of its samples


class ChunkLayout(NamedTuple):
    """How the chunks of a container are laid out."""

    start: int  # bytes before the first chunk
    head: struct.Struct  # name and size of a chunk
    counts_head: bool = False  # whether the size includes the head
    multiple: int = 1  # bodies are padded to a multiple of this many bytes


RIFF = ChunkLayout(start=12, head=struct.Struct("<4sI"), multiple=2)
AIFF = ChunkLayout(start=12, head=struct.Struct(">4sI"), multiple=2)
WAVE64 = ChunkLayout(start=40, head=struct.Struct("<4s12xQ"), counts_head=True, multiple=8)
CAF = ChunkLayout(start=8, head=struct.Struct(">4sq"))


def chunk(name: bytes, body: bytes, order: Order = "<") -> bytes:
    """Return ``body`` with its header, padded to an even number of bytes."""
    return struct.pack(f"{order}4sI", name, len(body)) + body + bytes(len(body) % 2)


def walk(file: BinaryIO, layout: ChunkLayout) -> Iterator[tuple[bytes, int]]:
    """Yield name and size (bytes) of each chunk of ``file``, positioned at the chunk's body.

    The caller may read on from there. The size of ``data`` is taken from ``ds64`` if that chunk
    comes first, as in RF64. It is negative in a CAF of unknown length; the walk ends after that
    chunk, or at the end of the file.
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
