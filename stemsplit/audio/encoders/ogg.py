"""What Vorbis and Opus share: an Ogg file with exactly as many frames as the song, and tags."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO
from zlib import crc32

from stemsplit.audio.encoders.through_ffmpeg import ThroughFfmpeg
from stemsplit.audio.ogg import (
    FIRST,
    FULL_SEGMENT,
    HEADERS,
    OPUS,
    WRAPPINGS,
    audio_packets,
    packed,
    pages,
)
from stemsplit.audio.splice import splice
from stemsplit.audio.tags import vorbis
from stemsplit.errors import StemsplitError

#: Shorter songs (s) get one Ogg page per packet: if all audio is on one page, ffmpeg cannot tell
#: where it starts, and decodes up to 127 frames too many or too few.
SHORT = 3
ONE_PACKET = 1  # page duration in µs


class Ogg(ThroughFfmpeg):
    """An Ogg file; the granule position of the last page declares where the song ends."""

    def _output_options(self) -> dict[str, Any]:
        short = self._stored_frames < SHORT * self._stored_rate
        pages = {"page_duration": ONE_PACKET} if short else {}
        # Serial numbers differ, as the stems may be muxed into one file; some tools dislike 0.
        known = f"{self.stem.name} {self._stored_frames}".encode("utf-8", "surrogatepass")
        return super()._output_options() | pages | {"serial_offset": crc32(known) >> 1 or 1}

    def _complete(self) -> None:
        tags = self.stem.tags

        def comment(old: bytes) -> bytes:
            return vorbis.written(tags, vorbis.vendor_of(old), with_picture=True)

        complete(self.stem.temporary, frames=self._stored_frames, comment=comment)


def complete(path: Path, *, frames: int, comment: Callable[[bytes], bytes]) -> None:
    """Replace the comments of the Ogg file at ``path``, of ``frames`` frames of Vorbis or Opus.

    ``comment`` maps the old comments to the new ones. Raises ``StemsplitError`` if the file
    declares a different number of frames.
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
        while ended < HEADERS[kind]:  # audio starts on a new page
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
