"""Chunks: walked in every layout, whatever was read of them, and to no place beyond the file."""

import io
import struct

import pytest

from stemsplit.audio.chunks import AIFF, CAF, RIFF, WAVE64, chunk, walk


def walked(data, layout):
    """Return name, size and the first four bytes of each chunk."""
    file = io.BytesIO(data)
    return [(name, size, file.read(4)) for name, size in walk(file, layout)]


@pytest.mark.parametrize(("layout", "order"), [(RIFF, "<"), (AIFF, ">")])
def test_bodies_are_padded_to_an_even_length(layout, order):
    start = b"FORM" + struct.pack(f"{order}I", 99) + b"WAVE"
    data = start + chunk(b"one ", b"odd", order) + chunk(b"two ", b"even", order)
    assert len(data) == 12 + 8 + 4 + 8 + 4
    assert walked(data, layout) == [(b"one ", 3, b"odd\0"), (b"two ", 4, b"even")]


def test_sizes_of_wave64_count_the_head_and_fill_eight_bytes():
    def long(name, body):
        padding = bytes(-len(body) % 8)
        return struct.pack("<4s12xQ", name, 24 + len(body)) + body + padding

    data = bytes(40) + long(b"fmt ", b"0123456789") + long(b"data", b"samples")
    assert walked(data, WAVE64) == [(b"fmt ", 10, b"0123"), (b"data", 7, b"samp")]
    short = bytes(40) + struct.pack("<4s12xQ", b"fmt ", 3)  # less than its own head
    assert walked(short + long(b"data", b"samples"), WAVE64) == []


def test_a_caf_may_end_with_samples_of_unknown_length():
    data = bytes(8) + struct.pack(">4sq3s", b"free", 3, b"abc") + struct.pack(">4sq", b"data", -1)
    assert walked(data + b"samples", CAF) == [(b"free", 3, b"abcd"), (b"data", -1, b"samp")]
    assert walked(bytes(8) + struct.pack(">4sq", b"free", -20) + b"samples", CAF) == []


def test_the_size_of_the_samples_of_an_rf64_is_in_ds64():
    start = b"RF64" + struct.pack("<I", 2**32 - 1) + b"WAVE"
    sizes = chunk(b"ds64", struct.pack("<QQQI", 100, 6, 3, 0))
    samples = struct.pack("<4sI", b"data", 2**32 - 1) + b"sample"
    data = start + sizes + samples + chunk(b"id3 ", b"tags")
    assert [found[:2] for found in walked(data, RIFF)] == [
        (b"ds64", 28), (b"data", 6), (b"id3 ", 4),
    ]  # fmt: skip
    too_short = start + chunk(b"ds64", bytes(8)) + samples
    assert [found[:2] for found in walked(too_short, RIFF)] == [(b"ds64", 8), (b"data", 2**32 - 1)]


@pytest.mark.parametrize("size", [2**31, 2**32 - 1])
def test_the_walk_ends_with_the_file(size):
    data = b"RIFF\0\0\0\0WAVE" + struct.pack("<4sI", b"LIST", size)
    assert walked(data, RIFF) == [(b"LIST", size, b"")]
    assert walked(data + b"half", RIFF) == [(b"LIST", size, b"half")]
    assert walked(data[:15], RIFF) == []
    long = bytes(40) + struct.pack("<4s12xQ", b"junk", 2**64 - 1)
    assert walked(long, WAVE64) == [(b"junk", 2**64 - 25, b"")]
