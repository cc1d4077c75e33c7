"""Ogg: pages and the packets in them. See RFC 3533, and RFC 7845 for Opus."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from stemsplit.audio.splice import splice
from stemsplit.errors import StemsplitError

MAGIC = b"OggS"
#: Magic, version, flags, granule position, serial, number, checksum, count of segments.
HEADER = struct.Struct("<4sBBqIIIB")
CHECKSUM = slice(22, 26)
CONTINUED, FIRST = 1, 2  # flags
MOST_SEGMENTS, FULL_SEGMENT = 255, 255
NO_PACKET_ENDS = -1  # as a granule position

OPUS, VORBIS, FLAC = b"OpusHead", b"\1vorbis", b"\x7fFLAC"
#: Packets before the audio, and what stands around the comments in the second of them.
HEADERS = {OPUS: 2, VORBIS: 3}
WRAPPINGS = {OPUS: (b"OpusTags", b""), VORBIS: (b"\3vorbis", b"\1"), FLAC: (b"", b"")}
LARGEST_HEADERS = 2**25  # bytes
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page: its header's facts and its body, cut into segments of ``sizes``."""

    flags: int
    granule: int
    serial: int
    number: int
    sizes: bytes
    body: bytes

    def packed(self) -> bytes:
        """Return the page as stored, with a right checksum."""
        facts = (0, self.flags, self.granule, self.serial, self.number, 0, len(self.sizes))
        data = bytearray(HEADER.pack(MAGIC, *facts) + self.sizes + self.body)
        data[CHECKSUM] = checksum(data).to_bytes(4, "little")
        return bytes(data)

    @property
    def length(self) -> int:
        """How many bytes are stored."""
        return HEADER.size + len(self.sizes) + len(self.body)


def checksum(data: bytes | bytearray) -> int:
    """Return the CRC-32 of ``data`` as Ogg computes it: zlib's, with all bits the other way."""
    mirrored = zlib.crc32(data.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2)


def pages(file: BinaryIO) -> Iterator[Page]:
    """Yield the pages from here to the end, or to what is no whole page."""
    while len(head := file.read(HEADER.size)) == HEADER.size:
        magic, _version, flags, granule, serial, number, _checksum, count = HEADER.unpack(head)
        sizes = file.read(count)
        body = file.read(sum(sizes))
        if magic != MAGIC or len(sizes) < count or len(body) < sum(sizes):
            return
        yield Page(
            flags=flags, granule=granule, serial=serial, number=number, sizes=sizes, body=body
        )


def audio_packets(file: BinaryIO) -> Iterator[bytes]:
    """Yield the packets of the first stream of sound, of ``LARGEST_HEADERS`` bytes in all."""
    serial: int | None = None
    packet = bytearray()  # which grows in place: a cover comes in thousands of segments
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


def packed(packets: Sequence[bytes], *, serial: int, number: int, flags: int = 0) -> list[Page]:
    """Return pages from ``number`` on with ``packets`` of headers, of which the last one ends."""
    sizes = b"".join(
        bytes([FULL_SEGMENT]) * (len(packet) // FULL_SEGMENT) + bytes([len(packet) % FULL_SEGMENT])
        for packet in packets
    )
    body = b"".join(packets)
    made: list[Page] = []
    place = 0
    for start in range(0, len(sizes), MOST_SEGMENTS):
        part = sizes[start : start + MOST_SEGMENTS]
        continued = CONTINUED if start and sizes[start - 1] == FULL_SEGMENT else 0
        ends = any(size < FULL_SEGMENT for size in part)
        page = Page(
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


def complete(path: Path, *, frames: int, comment: Callable[[bytes], bytes]) -> None:
    """Replace the comments of the Ogg at ``path``, which holds ``frames`` of Vorbis or Opus.

    ``comment`` is called with the old ones. Raises ``StemsplitError`` where the file does not say
    that it holds so many frames.
    """
    with path.open("r+b") as file:
        headers = list(islice(audio_packets(file), 1))
        kind = next((kind for kind in HEADERS if headers and headers[0].startswith(kind)), None)
        if kind is None:
            raise StemsplitError("ffmpeg wrote neither Vorbis nor Opus", path=path)
        file.seek(0)
        headers = list(islice(audio_packets(file), HEADERS[kind]))
        before, after = WRAPPINGS[kind]
        old = headers[1][len(before) : len(headers[1]) - len(after)]
        headers[1] = before + comment(old) + after
        file.seek(0)
        ended = 0
        while ended < HEADERS[kind]:  # audio starts on a page of its own
            page = next(pages(file))
            ended += sum(size < FULL_SEGMENT for size in page.sizes)
        serial = page.serial
        start = packed(headers[:1], serial=serial, number=0, flags=FIRST)
        start += packed(headers[1:], serial=serial, number=len(start))
        data = b"".join(page.packed() for page in start)
        splice(file, 0, file.tell(), data)
        file.seek(len(data))
        last = _renumber(file, len(start))
    skipped = int.from_bytes(headers[0][10:12], "little") if kind == OPUS else 0
    if last - skipped != frames:
        raise StemsplitError(f"the file holds {last - skipped} frames, not {frames}", path=path)


def _renumber(file: BinaryIO, number: int) -> int:
    """Number the pages from here on; return the granule position of the last one."""
    place, granule = file.tell(), 0
    for page in pages(file):
        file.seek(place)
        file.write(replace(page, number=number).packed())
        place += page.length
        number += 1
        granule = page.granule
    return granule
