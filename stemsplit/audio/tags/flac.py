"""The metadata blocks of FLAC (RFC 9639 §8)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from stemsplit.audio.splice import splice
from stemsplit.audio.tags import vorbis
from stemsplit.audio.tags.model import Collector, DamagedTags, Tags

MAGIC = b"fLaC"
COMMENT, PICTURE = 4, 6  # types of blocks
LAST = 0x80
MOST_BLOCKS = 1000


def read(file: BinaryIO, found: Collector) -> None:
    """Add the tags in the blocks of ``file``, which is just after the magic, to ``found``."""
    for kind, data in _blocks(file, wanted={COMMENT, PICTURE}):
        _read_block(kind, data, found)


def read_packets(packets: Iterator[bytes], found: Collector) -> None:
    """Add the tags in the blocks of an Ogg FLAC, one block per packet, to ``found``."""
    for packet in islice(packets, MOST_BLOCKS):
        if packet[:1] in (b"", b"\xff"):  # a frame of audio
            return
        _read_block(packet[0] & ~LAST, packet[4:], found)
        if packet[0] & LAST:
            return


def _read_block(kind: int, data: bytes, found: Collector) -> None:
    if kind == COMMENT:
        vorbis.read(data, found)
    elif kind == PICTURE:
        vorbis.read_picture(data, found)


def _blocks(file: BinaryIO, wanted: set[int] | None = None) -> Iterator[tuple[int, bytes]]:
    """Yield type and content of the blocks from here to the audio, only of ``wanted`` types."""
    for _ in range(MOST_BLOCKS):
        head = file.read(4)
        if len(head) < 4:
            raise DamagedTags("the file ends within its metadata")
        size = int.from_bytes(head[1:], "big")
        kind = head[0] & ~LAST
        if wanted is None or kind in wanted:
            data = file.read(size)
            if len(data) < size:
                raise DamagedTags("the file ends within its metadata")
            yield kind, data
        else:
            file.seek(size, 1)
        if head[0] & LAST:
            return


def write(path: Path, tags: Tags) -> None:
    """Write ``tags`` to the FLAC at ``path``, replacing its comments."""
    with path.open("r+b") as file:
        file.seek(len(MAGIC))
        blocks = list(_blocks(file))
        end = file.tell()
        vendor = next((vorbis.vendor_of(data) for kind, data in blocks if kind == COMMENT), b"")
        kept = [block for block in blocks if block[0] != COMMENT]
        kept.append((COMMENT, vorbis.written(tags, vendor, with_picture=False)))
        if tags.picture:
            kept.append((PICTURE, vorbis.picture_block(tags.picture)))
        data = b"".join(
            bytes([kind | (LAST if number == len(kept) else 0)])
            + len(body).to_bytes(3, "big")
            + body
            for number, (kind, body) in enumerate(kept, 1)
        )
        splice(file, len(MAGIC), end - len(MAGIC), data)
