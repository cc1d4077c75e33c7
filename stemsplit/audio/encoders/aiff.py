"""AIFF. See Apple's Audio Interchange File Format 1.3 (1989)."""

from __future__ import annotations

import struct

from stemsplit.audio.chunks import chunk
from stemsplit.audio.encoders import pcm
from stemsplit.audio.encoders.pcm import BYTES_PER_SAMPLE, Pcm
from stemsplit.audio.tags import riff
from stemsplit.errors import UsageError
from stemsplit.types import Depth


class Aiff(Pcm):
    """AIFF, with its own text chunks and ID3 after the samples."""

    order = ">"
    even = True

    def _start(self, depth: Depth, after: int) -> bytes:
        """Return the header. Raises ``UsageError`` above 4 GiB, which the format cannot count."""
        width = BYTES_PER_SAMPLE[depth]
        data = self.stem.frames * self.stem.channels * width
        if data > pcm.MOST_DATA:
            raise UsageError("the song is too long for aiff (4 GiB)", hint="--format wav or flac")
        form = struct.pack(">hIh", self.stem.channels, self.stem.frames, 8 * width)
        common = form + _extended(self.stem.sample_rate)
        sound = struct.pack(">4sIII", b"SSND", data + 8, 0, 0)
        whole = 4 + 8 + len(common) + len(sound) + data + data % 2 + after
        head = struct.pack(">4sI4s", b"FORM", whole, b"AIFF")
        return head + chunk(b"COMM", common, ">") + sound

    def _end(self) -> bytes:
        return riff.aiff_after(self.stem.tags)


def _extended(number: int) -> bytes:
    """Return a positive integer as an 80-bit float, as COMM stores the rate."""
    exponent = number.bit_length() - 1
    return struct.pack(">HQ", 16383 + exponent, number << (63 - exponent))
