"""WAV, or RF64 if the size exceeds what WAV can count.

See Microsoft's Multimedia Programming Interface 1.0 (1991), and EBU Tech 3306 for RF64.
"""

from __future__ import annotations

import struct

from stemsplit.audio.chunks import chunk
from stemsplit.audio.encoders import pcm
from stemsplit.audio.encoders.pcm import BYTES_PER_SAMPLE, Pcm
from stemsplit.audio.tags import riff
from stemsplit.types import Depth

INTEGER, FLOAT = 1, 3  # format tags; some players refuse the extensible one, 0xFFFE
UNCOUNTED = 0xFFFFFFFF  # a 32-bit size in RF64: the actual size is in ds64
DS64 = 36  # bytes of the chunk ds64


class Wav(Pcm):
    """WAV, with the place in the session before the samples; text chunks and ID3 after them."""

    order = "<"
    even = True

    def _start(self, depth: Depth, after: int) -> bytes:
        return wav_start(
            depth=depth,
            sample_rate=self.stem.sample_rate,
            channels=self.stem.channels,
            frames=self.stem.frames,
            before=riff.wav_before(self.stem.tags, self.stem.sample_rate),
            after=after,
        )

    def _end(self) -> bytes:
        return riff.wav_after(self.stem.tags)


def wav_start(
    *,
    depth: Depth,
    sample_rate: int,
    channels: int,
    frames: int,
    before: bytes = b"",
    after: int = 0,
) -> bytes:
    """Return a WAV up to its first sample; RF64 if the size exceeds what WAV can count.

    ``before`` are chunks that precede the samples; ``after`` is the number of bytes that follow
    them, without padding.
    """
    width = BYTES_PER_SAMPLE[depth]
    frame = width * channels
    data = frames * frame
    tag = FLOAT if depth == "32f" else INTEGER
    form = struct.pack("<HHIIHH", tag, channels, sample_rate, sample_rate * frame, frame, 8 * width)
    large = data > pcm.MOST_DATA
    chunks = chunk(b"fmt ", form)
    if tag == FLOAT:  # formats other than PCM must count their frames
        chunks += chunk(b"fact", struct.pack("<I", UNCOUNTED if large else frames))
    chunks += before
    whole = 4 + len(chunks) + 8 + data + data % 2 + after
    if not large:
        head = struct.pack("<4sI4s", b"RIFF", whole, b"WAVE")
        return head + chunks + struct.pack("<4sI", b"data", data)
    sizes = chunk(b"ds64", struct.pack("<QQQI", whole + DS64, data, frames, 0))
    head = struct.pack("<4sI4s", b"RF64", UNCOUNTED, b"WAVE")
    return head + sizes + chunks + struct.pack("<4sI", b"data", UNCOUNTED)
