"""The boxes of MP4: sizes of every kind, and files that are damaged."""

import io

import pytest

from stemsplit.audio.mp4 import box, boxes, find, find_movie, tracks


def long_box(name, body):
    return b"\0\0\0\1" + name + (16 + len(body)).to_bytes(8, "big") + body


def last_box(name, body):
    return b"\0\0\0\0" + name + body


@pytest.mark.parametrize("make", [box, long_box, last_box])
def test_boxes_of_every_kind_of_size(make):
    inner = make(b"trak", b"inside")
    data = box(b"ftyp", b"M4A ") + box(b"moov", inner)
    start, end = find(data, b"moov", b"trak")
    assert data[start:end] == b"inside"
    assert [name for name, *_ in boxes(data)] == [b"ftyp", b"moov"]
    assert find(data, b"moov", b"udta") is None
    assert tracks(box(b"moov", inner)) == [(len(data) - 6 - 12, len(data) - 12)]
    movie = make(b"moov", inner)
    assert find_movie(io.BytesIO(box(b"ftyp", b"M4A ") + movie)) == (12, len(movie))


@pytest.mark.parametrize("size", [0, 2, 7, 99])
def test_a_box_of_an_impossible_size_ends_the_search(size):
    data = box(b"ftyp", b"M4A ") + size.to_bytes(4, "big") + b"free" + box(b"moov", b"")
    if size == 0:  # to the end of the file: no box follows
        assert [name for name, *_ in boxes(data)] == [b"ftyp", b"free"]
    else:
        assert [name for name, *_ in boxes(data)] == [b"ftyp"]
    assert find_movie(io.BytesIO(data)) is None
    inside = box(b"ftyp", b"M4A ") + (4).to_bytes(4, "big") + box(b"moov", b"")
    assert find_movie(io.BytesIO(inside)) is None
