"""Vorbis comments and pictures, as in FLAC and Ogg.

See xiph.org: "Ogg Vorbis I format specification: comment field and header specification", and
RFC 9639 §8.8 for pictures.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator

from stemsplit.audio.tags.fields import BY_VORBIS, FIELDS, TOTALS
from stemsplit.audio.tags.model import FRONT_COVER, Collector, Cursor, Picture, Tags, pair

PICTURE_FIELD = "metadata_block_picture"
MOST_COMMENTS = 1000


def read(data: bytes, found: Collector) -> None:
    """Add the tags in the comments ``data`` to ``found``. Raises ``DamagedTags``."""
    values: dict[str, list[str]] = {}
    cursor = Cursor(data)
    cursor.take(cursor.number(4, "little"))  # vendor
    try:
        for _ in range(min(cursor.number(4, "little"), MOST_COMMENTS)):
            name, _, value = cursor.take(cursor.number(4, "little")).partition(b"=")
            key = name.decode("ascii", "replace").lower()
            if key == PICTURE_FIELD:
                _read_encoded_picture(value, found)
            else:
                values.setdefault(key, []).append(value.decode("utf-8", "replace"))
    finally:  # keep what came before any damage
        keep(values, found)


def keep(values: dict[str, list[str]], found: Collector) -> None:
    """Add ``values``, by lower-case names of comments, to ``found``."""
    for total_names, field in ((TOTALS[name], name) for name in TOTALS):
        _join_total(values, FIELDS[field].vorbis, total_names)
    for key in BY_VORBIS:  # in this order, not in that of the file
        found.add(BY_VORBIS[key], values.get(key, ()))


def _join_total(
    values: dict[str, list[str]], names: tuple[str, ...], total_names: tuple[str, ...]
) -> None:
    """Append the total, which is a separate comment, to the number: ``3/12``."""
    name = next((name for name in names if name in values), None)
    total = next((values[name][0] for name in total_names if name in values), "")
    if name and total.isdecimal() and "/" not in values[name][0]:
        values[name][0] += f"/{total}"


def _read_encoded_picture(value: bytes, found: Collector) -> None:
    try:
        block = base64.b64decode(value)
    except binascii.Error:
        found.warnings.append("its cover art is damaged; the stems get none")
        return
    read_picture(block, found)


def read_picture(block: bytes, found: Collector) -> None:
    """Add the picture in a FLAC ``block`` to ``found``. Raises ``DamagedTags``."""
    cursor = Cursor(block)
    kind = cursor.number(4)
    cursor.take(cursor.number(4))  # MIME type
    cursor.take(cursor.number(4))  # description
    cursor.take(16)  # width, height, depth, colours
    found.add_picture(kind, cursor.take(cursor.number(4)))


def written(tags: Tags, vendor: bytes, *, with_picture: bool) -> bytes:
    """Return ``tags`` as comments of the encoder ``vendor``, optionally with the cover as text."""
    comments = [f"{name.upper()}={value}".encode() for name, value in _named(tags)]
    if with_picture and tags.picture:
        block = base64.b64encode(picture_block(tags.picture))
        comments.append(PICTURE_FIELD.upper().encode() + b"=" + block)
    parts = [vendor, *comments]
    sized = [len(part).to_bytes(4, "little") + part for part in parts]
    return sized[0] + len(comments).to_bytes(4, "little") + b"".join(sized[1:])


def _named(tags: Tags) -> Iterator[tuple[str, str]]:
    for field in FIELDS:
        values = tags.texts.get(field, ())
        name = FIELDS[field].vorbis[0]
        if field in TOTALS and values and (numbers := pair(values[0])):
            number, total = numbers
            yield name, str(number)
            if total:
                yield TOTALS[field][0], str(total)
            continue
        for value in values:
            yield name, value
            if field == "key":
                yield "key", value  # about half of all programs look here


def picture_block(picture: Picture) -> bytes:
    """Return ``picture`` as FLAC stores it; its dimensions may be left open."""
    mime = picture.mime.encode()
    start = FRONT_COVER.to_bytes(4, "big") + len(mime).to_bytes(4, "big") + mime
    return start + bytes(20) + len(picture.data).to_bytes(4, "big") + picture.data


def vendor_of(comments: bytes) -> bytes:
    """Return the vendor of ``comments``. Raises ``DamagedTags``."""
    cursor = Cursor(comments)
    return cursor.take(cursor.number(4, "little"))
