"""The tags of MP4, as iTunes stores them: atoms below moov/udta/meta/ilst."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from stemsplit.audio.mp4 import box, boxes, find, find_movie
from stemsplit.audio.tags.fields import BY_MP4, BY_VORBIS, FIELDS, GENRES, TOTALS
from stemsplit.audio.tags.model import Collector, DamagedTags, Tags, pair

LARGEST_MOVIE = 2**26  # bytes; the tables of a day of audio take half of that
TEXT, JPEG, PNG, INTEGER = 1, 13, 14, 21  # types of data
PAIRS = {"track": 8, "disc": 6}  # bytes of trkn and disk
MEAN = b"com.apple.iTunes"
#: Names of free-form atoms that other programs look for.
FREE_NAMES = {"key": "initialkey", "isrc": "ISRC", "label": "LABEL", "bpm": "BPM"}
HANDLER = bytes(8) + b"mdirappl" + bytes(9)


def read(file: BinaryIO, found: Collector) -> None:
    """Add the tags of the MP4 ``file`` to ``found``. Raises ``DamagedTags``."""
    movie = find_movie(file)
    if movie is None or movie[1] > LARGEST_MOVIE:
        raise DamagedTags("no movie box that can be read")
    file.seek(movie[0])
    data = file.read(movie[1])
    place = find(data, b"moov", b"udta", b"meta") or find(data, b"moov", b"meta")
    if place is None:
        return
    start, end = place
    if data[start : start + 4] == bytes(4):  # QuickTime's own files have no flags
        start += 4
    for name, first, last in boxes(data, start, end):
        if name == b"ilst":
            _read_items(data[first:last], found)


def _read_items(items: bytes, found: Collector) -> None:
    free: list[tuple[str, list[str]]] = []
    for name, start, end in boxes(items):
        atom, item = name.decode("mac-roman"), items[start:end]
        values = list(_values(item))
        if name == b"covr":
            for value in values:
                found.add_picture(3, value)
        elif name == b"----":
            label = find(item, b"name")
            key = item[label[0] + 4 : label[1]].decode("utf-8", "replace").lower() if label else ""
            if key in BY_VORBIS:
                free.append((BY_VORBIS[key], [v.decode("utf-8", "replace") for v in values]))
        elif name == b"gnre" and values:
            number = int.from_bytes(values[0], "big")
            found.add("genre", GENRES[number - 1 : number])
        elif field := BY_MP4.get(atom):
            if field == "bpm":  # a free-form value is more exact
                free.append((field, [str(int.from_bytes(value, "big") or "") for value in values]))
            else:
                found.add(field, [_text(field, value) for value in values])
    # A whole number of beats may be a rounded fraction, so fractions come first.
    for field, texts in sorted(free, key=lambda item: not any("." in text for text in item[1])):
        found.add(field, texts)


def _values(item: bytes) -> Iterator[bytes]:
    for name, start, end in boxes(item):
        if name == b"data" and end - start >= 8:
            yield item[start + 8 : end]


def _text(field: str, value: bytes) -> str:
    if field not in PAIRS:
        return value.decode("utf-8", "replace")
    number, total = (int.from_bytes(value[place : place + 2], "big") for place in (2, 4))
    return f"{number}/{total}" if total else str(number or "")


def written(tags: Tags, *more: bytes) -> bytes:
    """Return ``tags``, and ``more`` items, as the content of ``udta``; empty if there are none."""
    items = b"".join(more) + b"".join(
        _item(field, tags.texts[field]) for field in FIELDS if field in tags.texts
    )
    if picture := tags.picture:
        kind = JPEG if picture.mime == "image/jpeg" else PNG
        items += box(b"covr", _data(kind, picture.data))
    if not items:
        return b""
    return box(b"meta", bytes(4), box(b"hdlr", HANDLER), box(b"ilst", items))


def _item(field: str, values: tuple[str, ...]) -> bytes:
    if field in TOTALS:
        numbers = pair(values[0])
        if numbers is None:
            return b""
        number, total = (min(value, 0xFFFF) for value in numbers)
        body = bytes(2) + number.to_bytes(2, "big") + total.to_bytes(2, "big")
        return box(_atom(field), _data(0, body.ljust(PAIRS[field], b"\0")))
    if field == "bpm":
        return _tempo(values[0])
    data = b"".join(_data(TEXT, value.encode()) for value in values)
    if field in FREE_NAMES:
        return _free(field, data)
    return box(_atom(field), data)


def _tempo(text: str) -> bytes:
    """Return an atom with the rounded beats per minute, and one with the exact value if needed."""
    try:
        beats = float(text.replace(",", "."))
    except ValueError:
        return b""
    whole = round(beats) if 0 < beats < 2**16 - 1 else 0
    item = box(b"tmpo", _data(INTEGER, whole.to_bytes(2, "big"))) if whole else b""
    return item if whole == beats else item + _free("bpm", _data(TEXT, text.encode()))


def _free(field: str, data: bytes) -> bytes:
    name = FREE_NAMES[field].encode()
    return box(b"----", box(b"mean", bytes(4), MEAN), box(b"name", bytes(4), name), data)


def _atom(field: str) -> bytes:
    return FIELDS[field].mp4[0].encode("mac-roman")


def text_item(atom: bytes, text: str) -> bytes:
    """Return an item ``atom`` with ``text``."""
    return box(atom, _data(TEXT, text.encode()))


def _data(kind: int, value: bytes) -> bytes:
    return box(b"data", kind.to_bytes(4, "big"), bytes(4), value)
