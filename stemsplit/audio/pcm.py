"""WAV, RF64 and AIFF: what stands before the samples, and the samples as bytes.

Written here, and not by a library, because all sizes are known before the first sample, because
chunks must stand before it, and because no time of writing may be in a file that is to be the same
in every run. WAV: Microsoft's Multimedia Programming Interface 1.0 (1991); RF64: EBU Tech 3306;
AIFF: Apple's Audio Interchange File Format 1.3 (1989).
"""

from __future__ import annotations

import struct
from typing import Literal, TypeAlias

import numpy as np

from stemsplit.errors import UsageError
from stemsplit.types import Depth

Order: TypeAlias = Literal["<", ">"]

BYTES_PER_SAMPLE: dict[Depth, int] = {"16": 2, "24": 3, "32f": 4}
#: RIFF and AIFF count bytes in 32 bits; headers and tags stay below the 64 MiB left for them.
MOST_DATA = 2**32 - 2**26
PCM, FLOAT = 1, 3  # format tags; players refuse the extensible one, 0xFFFE
UNCOUNTED = 0xFFFFFFFF  # a 32-bit size in RF64: the true one stands in ds64
DS64 = 36  # bytes of that chunk


def chunk(name: bytes, body: bytes, order: Order = "<") -> bytes:
    """Return ``body`` with its header, padded to an even number of bytes."""
    return struct.pack(f"{order}4sI", name, len(body)) + body + bytes(len(body) % 2)


def wav_start(
    *,
    depth: Depth,
    sample_rate: int,
    channels: int,
    frames: int,
    before: bytes = b"",
    after: int = 0,
) -> bytes:
    """Return all of a WAV up to its first sample; RF64 where a WAV cannot count the bytes.

    ``before`` are chunks to stand before the samples, ``after`` is the number of bytes to come
    after them, padding not counted.
    """
    width = BYTES_PER_SAMPLE[depth]
    frame = width * channels
    data = frames * frame
    tag = FLOAT if depth == "32f" else PCM
    form = struct.pack("<HHIIHH", tag, channels, sample_rate, sample_rate * frame, frame, 8 * width)
    large = data > MOST_DATA
    chunks = chunk(b"fmt ", form)
    if tag == FLOAT:  # a format that is not PCM counts its frames
        chunks += chunk(b"fact", struct.pack("<I", UNCOUNTED if large else frames))
    chunks += before
    whole = 4 + len(chunks) + 8 + data + data % 2 + after
    if not large:
        head = struct.pack("<4sI4s", b"RIFF", whole, b"WAVE")
        return head + chunks + struct.pack("<4sI", b"data", data)
    sizes = chunk(b"ds64", struct.pack("<QQQI", whole + DS64, data, frames, 0))
    head = struct.pack("<4sI4s", b"RF64", UNCOUNTED, b"WAVE")
    return head + sizes + chunks + struct.pack("<4sI", b"data", UNCOUNTED)


def aiff_start(
    *, depth: Depth, sample_rate: int, channels: int, frames: int, after: int = 0
) -> bytes:
    """Return all of an AIFF up to its first sample; ``after`` as for ``wav_start``.

    Raises ``UsageError`` for more than 4 GiB, which the format cannot count.
    """
    width = BYTES_PER_SAMPLE[depth]
    data = frames * channels * width
    if data > MOST_DATA:
        raise UsageError("the song is too long for aiff (4 GiB)", hint="--format wav or flac")
    common = struct.pack(">hIh", channels, frames, 8 * width) + _extended(sample_rate)
    sound = struct.pack(">4sIII", b"SSND", data + 8, 0, 0)
    whole = 4 + 8 + len(common) + len(sound) + data + data % 2 + after
    return struct.pack(">4sI4s", b"FORM", whole, b"AIFF") + chunk(b"COMM", common, ">") + sound


def _extended(number: int) -> bytes:
    """Return a positive integer as a float of 80 bits, which COMM stores the rate in."""
    exponent = number.bit_length() - 1
    return struct.pack(">HQ", 16383 + exponent, number << (63 - exponent))


def as_bytes(samples: np.ndarray, depth: Depth, order: Order) -> bytes:
    """Return frames (n, C) of float32, int16, or int32 with 24 bits on top, as stored."""
    kind = {"16": "i2", "24": "i4", "32f": "f4"}[depth]
    stored = np.ascontiguousarray(samples, dtype=f"{order}{kind}")
    if depth != "24":
        return stored.tobytes()
    four = stored.view(np.uint8).reshape(-1, 4)
    return (four[:, 1:] if order == "<" else four[:, :3]).tobytes()
