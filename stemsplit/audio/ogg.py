"""Ogg pages and the packets in them. See RFC 3533, and RFC 7845 for Opus."""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import BinaryIO, Literal, TypeAlias

MAGIC = b"OggS"
#: Magic, version, flags, granule position, serial, number, checksum, count of segments.
HEADER = struct.Struct("<4sBBqIIIB")
CHECKSUM = slice(22, 26)
CONTINUED, FIRST, LAST = 1, 2, 4  # flags
MOST_SEGMENTS, FULL_SEGMENT = 255, 255
LONGEST_PAGE = HEADER.size + MOST_SEGMENTS + MOST_SEGMENTS * FULL_SEGMENT  # bytes
#: The first page of a link in a chain, up to its number of channels.
START_OF_LINK = re.compile(
    rb"OggS\x00\x02.{20}\x01.(?:OpusHead.(.)|\x01vorbis\x00{4}(.))", re.DOTALL
)
NO_PACKET_ENDS = -1  # granule position of a page on which no packet ends
Ending: TypeAlias = Literal["whole", "unmarked", "cut"]

OPUS, VORBIS, FLAC = b"OpusHead", b"\1vorbis", b"\x7fFLAC"
#: Header packets before the audio, and what surrounds the comments in the second of them.
HEADERS = {OPUS: 2, VORBIS: 3}
WRAPPINGS = {OPUS: (b"OpusTags", b""), VORBIS: (b"\3vorbis", b"\1"), FLAC: (b"", b"")}
LARGEST_HEADERS = 2**25  # bytes
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True, slots=True, kw_only=True)
class OggPage:
    """One page: the fields of its header, and its body, cut into segments of ``sizes`` bytes."""

    flags: int
    granule: int
    serial: int
    number: int
    sizes: bytes
    body: bytes

    def packed(self) -> bytes:
        """Return the page as stored, with a valid checksum."""
        facts = (0, self.flags, self.granule, self.serial, self.number, 0, len(self.sizes))
        data = bytearray(HEADER.pack(MAGIC, *facts) + self.sizes + self.body)
        data[CHECKSUM] = checksum(data).to_bytes(4, "little")
        return bytes(data)

    @property
    def length(self) -> int:
        """The stored size in bytes."""
        return HEADER.size + len(self.sizes) + len(self.body)


def checksum(data: bytes | bytearray) -> int:
    """Return the CRC-32 of ``data`` as defined by Ogg: that of zlib, with all bits reversed."""
    mirrored = zlib.crc32(data.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2)


def pages(file: BinaryIO) -> Iterator[OggPage]:
    """Yield the pages from here to the end, or up to the first damaged or truncated page."""
    while len(head := file.read(HEADER.size)) == HEADER.size:
        magic, _version, flags, granule, serial, number, _checksum, count = HEADER.unpack(head)
        sizes = file.read(count)
        body = file.read(sum(sizes))
        if magic != MAGIC or len(sizes) < count or len(body) < sum(sizes):
            return
        yield OggPage(
            flags=flags, granule=granule, serial=serial, number=number, sizes=sizes, body=body
        )


def audio_packets(file: BinaryIO) -> Iterator[bytes]:
    """Yield the packets of the first audio stream, up to ``LARGEST_HEADERS`` bytes in all."""
    serial: int | None = None
    packet = bytearray()  # grows in place: a cover has thousands of segments
    total = 0
    for page in pages(file):
        if serial is None and page.body.startswith(tuple(WRAPPINGS)):
            serial = page.serial
        total += page.length
        if total > LARGEST_HEADERS:
            return
        if page.serial != serial:
            continue
        place = 0
        for size in page.sizes:
            packet += page.body[place : place + size]
            place += size
            if size < FULL_SEGMENT:
                yield bytes(packet)
                packet.clear()


def packed(packets: Sequence[bytes], *, serial: int, number: int, flags: int = 0) -> list[OggPage]:
    """Return pages, numbered from ``number``, with the complete header ``packets``."""
    sizes = b"".join(
        bytes([FULL_SEGMENT]) * (len(packet) // FULL_SEGMENT) + bytes([len(packet) % FULL_SEGMENT])
        for packet in packets
    )
    body = b"".join(packets)
    made: list[OggPage] = []
    place = 0
    for start in range(0, len(sizes), MOST_SEGMENTS):
        part = sizes[start : start + MOST_SEGMENTS]
        continued = CONTINUED if start and sizes[start - 1] == FULL_SEGMENT else 0
        ends = any(size < FULL_SEGMENT for size in part)
        page = OggPage(
            flags=flags | continued,
            granule=0 if ends else NO_PACKET_ENDS,
            serial=serial,
            number=number + len(made),
            sizes=part,
            body=body[place : place + sum(part)],
        )
        made.append(page)
        place += sum(part)
    return made


def channels_of_links(path: Path) -> list[int]:
    """Return the channels of each Vorbis or Opus stream in the Ogg file at ``path``, in order.

    A chain has several. Empty for any other kind of file.
    """
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            return []
        with mmap(file.fileno(), 0, access=ACCESS_READ) as data:
            return [int((match[1] or match[2])[0]) for match in START_OF_LINK.finditer(data)]


def ending_of(path: Path) -> Ending:
    """Return how the Ogg file at ``path`` ends; "whole" for any other kind of file.

    The last page of each stream is marked. If the mark is missing, either the recorder was stopped
    or the file was cut between two pages; there is no way to tell which.
    """
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            return "whole"
        file.seek(max(0, path.stat().st_size - 2 * LONGEST_PAGE))
        tail = file.read()
    last = next(pages(io.BytesIO(tail[max(0, tail.rfind(MAGIC)) :])), None)
    if last is None:
        return "cut"
    return "whole" if last.flags & LAST else "unmarked"
