"""The boxes of MP4: sizes of every kind, and files that are damaged."""

import io
import struct

import pytest

from stemsplit.audio.mp4 import box, boxes, declared_frames, find, find_movie, tracks


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


def movie(durations, edits=(), *, scale=48_000, kind=b"soun", more=b"", wide=False):
    """Return a file with one track: ``durations`` (count, frames), ``edits`` (length, start).

    Its times are ``wide`` with 64 bits instead of 32.
    """
    rows = [struct.pack(">II", *row) for row in durations]
    parts = [struct.pack(">QqI" if wide else ">IiI", *row, 0x10000) for row in edits]
    version = bytes([wide, 0, 0, 0])
    listed = box(b"elst", version, len(edits).to_bytes(4, "big"), *parts)
    table = box(b"stts", bytes(4), len(rows).to_bytes(4, "big"), *rows)
    media = box(
        b"mdia",
        box(b"mdhd", version, bytes(16 if wide else 8), scale.to_bytes(4, "big"), bytes(8)),
        box(b"hdlr", bytes(8), kind),
        box(b"minf", box(b"stbl", table)),
    )
    return box(b"moov", box(b"trak", box(b"edts", listed), media), more)


WHOLE = [(10, 1024), (1, 500)]


@pytest.mark.parametrize(
    ("durations", "edits", "options", "frames"),
    [
        (WHOLE, [(9716, 1024)], {}, 9716),
        (WHOLE, [], {}, 10_740),
        (WHOLE, [(480, -1), (9716, 1024)], {}, 9716),
        (WHOLE, [(480, -1), (9716, 1024)], {"wide": True}, 9716),
        ([(5, 1024), (1, 9000), (4, 1024), (1, 500)], [], {}, 18_716),  # a gap
        ([(10, 1024)], [(9000, 1024)], {}, None),  # nothing declares a shorter packet
        ([(9, 1024), (1, 1000), (1, 500)], [], {}, None),  # of an inexact recorder
        ([(10, 1024), (2, 500)], [], {}, None),
        (WHOLE, [(100, 0), (100, 4000)], {}, None),
        (WHOLE, [], {"scale": 44_100}, None),
        (WHOLE, [], {"kind": b"vide"}, None),
        (WHOLE, [], {"more": box(b"mvex", b"")}, None),  # in fragments
        (WHOLE, [], {"more": box(b"udta", b"iTunSMPB")}, None),
        ([], [], {}, None),
    ],
)
def test_the_frames_that_the_tables_of_a_track_declare(durations, edits, options, frames):
    assert declared_frames(io.BytesIO(movie(durations, edits, **options)), 0, 48_000) == frames


def test_damaged_tables_declare_nothing(monkeypatch):
    data = movie(WHOLE, [(9716, 1024)])
    for end in range(0, len(data), 3):
        declared_frames(io.BytesIO(data[:end]), 0, 48_000)
    counted = (2).to_bytes(4, "big") + struct.pack(">II", 10, 1024)
    for count, frames in ((0, None), (1, None), (99, 9716)):
        lying = data.replace(counted, count.to_bytes(4, "big") + counted[4:])
        assert declared_frames(io.BytesIO(lying), 0, 48_000) == frames
    assert declared_frames(io.BytesIO(data), 1, 48_000) is None
    monkeypatch.setattr("stemsplit.audio.mp4.LARGEST_MOVIE", len(data) - 1)
    assert declared_frames(io.BytesIO(data), 0, 48_000) is None
