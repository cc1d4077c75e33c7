"""ID3: versions 1 to 2.4 read, 2.4 written. See id3.org, id3v2.4.0-structure and -frames."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator

from stemsplit.audio.tags.fields import BY_ID3, BY_VORBIS, FIELDS, GENRES
from stemsplit.audio.tags.model import (
    FRONT_COVER,
    LARGEST_PICTURE,
    MOST_VALUES,
    Collector,
    Cursor,
    DamagedTags,
    Tags,
)

HEADER_SIZE = 10
#: Larger tags are not read: a cover and some text need a fraction of this.
LARGEST_TAG = 2**26
LATIN_1, UTF_16, UTF_16_BE, UTF_8 = range(4)
CODECS = ("latin-1", "utf-16", "utf-16-be", "utf-8")
FRAME_NAME = re.compile(rb"[A-Z0-9]{3,4}")
NUMBERED_GENRE = re.compile(r"\((\d{1,3})\)\s*(.*)", re.DOTALL)
#: Descriptions of comments that programs use for private data (iTunNORM, iTunSMPB …).
PRIVATE_COMMENTS = ("itun", "songs-db")
PICTURES = {"APIC", "PIC"}
#: Some readers (ExifTool) trust the size of a frame only if there is room for another one.
PADDING = bytes(HEADER_SIZE)
LANGUAGE = b"eng"  # most programs only show comments and lyrics in this language


def size_of(header: bytes) -> int | None:
    """Return the size of the whole tag that starts with ``header`` (10 bytes); None if no tag."""
    if len(header) < HEADER_SIZE or header[:3] != b"ID3" or max(header[6:10]) > 127:
        return None
    footer = HEADER_SIZE if header[3] == 4 and header[5] & 0x10 else 0
    return HEADER_SIZE + _synchsafe(header[6:10]) + footer


def read(data: bytes, found: Collector) -> None:
    """Add the fields of the tag ``data`` to ``found``. Raises ``DamagedTags``."""
    version, flags = data[3], data[5]
    if version not in (2, 3, 4):
        raise DamagedTags(f"ID3 of version 2.{version}")
    body = data[HEADER_SIZE:][: _synchsafe(data[6:10])]
    if flags & 0x80 and version < 4:  # in 2.4 the frames are unsynchronised one by one
        body = _synchronised(body)
    if flags & 0x40:
        if version == 2:
            raise DamagedTags("a compressed ID3 tag")
        size = int.from_bytes(body[:4], "big") + 4 if version == 3 else _synchsafe(body[:4])
        body = body[size:]
    _Frames(version, found).read(body)


def read_version_1(data: bytes, found: Collector) -> None:
    """Add the fields in the last 128 bytes of a file to ``found``, if they are a tag."""
    if len(data) != 128 or data[:3] != b"TAG":
        return
    for name, start, size in (
        ("title", 3, 30),
        ("artist", 33, 30),
        ("album", 63, 30),
        ("date", 93, 4),
        ("comment", 97, 30),
    ):
        found.add(name, [data[start : start + size].split(b"\0")[0].decode("latin-1")])
    if data[125] == 0 and data[126]:
        found.add("track", [str(data[126])])
    if data[127] < len(GENRES):
        found.add("genre", [GENRES[data[127]]])


class _Frames:
    """The frames of one tag."""

    def __init__(self, version: int, found: Collector) -> None:
        self._version = version
        self._found = found
        self._date: dict[str, str] = {}
        self._fallbacks: list[tuple[str, list[str]]] = []  # used without a proper frame

    def read(self, body: bytes) -> None:
        try:
            for name, data in self._frames(body):
                self._read_frame(name, data)
        finally:
            self._finish()

    def _frames(self, body: bytes) -> Iterator[tuple[str, bytes]]:
        cursor = Cursor(body)
        long = self._version > 2
        while cursor.left >= (10 if long else 6):
            name = cursor.take(4 if long else 3)
            if not FRAME_NAME.fullmatch(name):  # padding
                return
            if not long:
                yield name.decode(), cursor.take(cursor.number(3))
                continue
            size, flags = cursor.take(4), cursor.number(2)
            data = cursor.take(self._size_of_frame(size, cursor))
            if (plain := self._plain(data, flags)) is not None:
                yield name.decode(), plain

    def _size_of_frame(self, size: bytes, cursor: Cursor) -> int:
        """Return the size of a frame; iTunes wrote version 2.4 with sizes as in version 2.3."""
        plain = int.from_bytes(size, "big")
        if self._version == 3 or max(size) > 127:
            return plain
        right = _synchsafe(size)
        if plain == right or _fits(cursor, right) or not _fits(cursor, plain):
            return right
        return plain

    def _plain(self, data: bytes, flags: int) -> bytes | None:
        """Return the decoded content of a frame; None if it cannot be decoded."""
        if self._version == 3:
            compressed, encrypted, grouped = flags & 0x80, flags & 0x40, flags & 0x20
            unsynchronised, with_length = 0, compressed
        else:
            compressed, encrypted, grouped = flags & 8, flags & 4, flags & 0x40
            unsynchronised, with_length = flags & 2, flags & 1
        if encrypted:
            return None
        if unsynchronised:
            data = _synchronised(data)
        data = data[(1 if grouped else 0) + (4 if with_length else 0) :]
        if not compressed:
            return data
        try:
            return zlib.decompressobj().decompress(data, LARGEST_PICTURE)
        except zlib.error:
            return None

    def _read_frame(self, name: str, data: bytes) -> None:
        if name in PICTURES:
            self._read_picture(name, data)
        elif name in ("TXXX", "TXX"):
            label, *values = _texts(data)
            if field := BY_VORBIS.get(label.lower()):
                self._fallbacks.append((field, values))
        elif name in ("COMM", "COM", "USLT", "ULT"):
            self._read_long_text(BY_ID3[name], data)
        elif name in ("TYER", "TYE", "TDAT", "TDA"):
            self._date[name[:3]] = "".join(_texts(data)[:1])
        elif name == "TDRC":  # there may also be a year as in version 2.3
            self._found.add("date", _texts(data))
        elif field := BY_ID3.get(name):
            values = _texts(data)
            self._found.add(field, _genres(values) if field == "genre" else values)

    def _read_long_text(self, field: str, data: bytes) -> None:
        """Read a comment or lyrics: encoding, language, description, text."""
        label, *rest = _texts(data[:1] + data[4:])
        if not label.strip():
            self._found.add(field, rest[:1])
        elif not label.lower().startswith(PRIVATE_COMMENTS):
            self._fallbacks.append((field, rest[:1]))

    def _read_picture(self, name: str, data: bytes) -> None:
        """Read encoding, type (MIME or three letters), kind, description and picture."""
        place = 4 if name == "PIC" else data.find(b"\0", 1) + 1
        if not 1 < place < len(data):
            return
        _label, picture = _split(data[:1] + data[place + 1 :])
        self._found.add_picture(data[place], picture)

    def _finish(self) -> None:
        if year := self._date.get("TYE", "").strip():
            day = self._date.get("TDA", "").strip()  # DDMM
            full = len(day) == 4 and day.isdigit()
            self._found.add("date", [f"{year}-{day[2:]}-{day[:2]}" if full else year])
        for field, values in self._fallbacks:
            self._found.add(field, values)


def _fits(cursor: Cursor, size: int) -> bool:
    """Return whether a frame of ``size`` bytes would be followed by another, padding or nothing."""
    after = cursor.peek(4, size)
    return size <= cursor.left and (bool(FRAME_NAME.fullmatch(after)) or not any(after))


def _split(data: bytes) -> tuple[str, bytes]:
    """Return the first text of ``data``, which starts with its encoding, and the bytes after it."""
    encoding, body = data[:1], data[1:]
    wide = encoding in (b"\1", b"\2")
    end = 0
    while True:
        end = body.find(b"\0\0" if wide else b"\0", end)
        if end < 0:
            return _texts(data)[0], b""
        if not wide or end % 2 == 0:
            break
        end += 1
    return _texts(encoding + body[:end])[0], body[end + (2 if wide else 1) :]


def _texts(data: bytes) -> list[str]:
    """Return the texts in ``data``, at least one: an encoding, then texts separated by zeros."""
    if not data:
        return [""]
    if data[0] >= len(CODECS):
        return [data.decode("latin-1").replace("\0", " ")]
    body = data[1:]
    if data[0] == UTF_16:
        # Each text may have its own byte order mark, and the last a single excess zero.
        codec = "utf-16-be" if body[:2] == b"\xfe\xff" else "utf-16-le"
        text = body[: len(body) // 2 * 2].decode(codec, "replace")
        text = text.replace("\ufeff", "").replace("\ufffe", "")
    else:
        text = body.decode(CODECS[data[0]], "replace")
    return text.rstrip("\0").split("\0", MOST_VALUES)


def _genres(values: list[str]) -> list[str]:
    """Return ``values`` with names instead of numbers: ``17``, ``(17)``, ``(17)Rock``."""
    named = []
    for value in values:
        match = NUMBERED_GENRE.fullmatch(value)
        number, rest = match.groups() if match else (value, "")
        known = number.isdecimal() and int(number) < len(GENRES)
        named.append(rest or (GENRES[int(number)] if known else value))
    return named


def _synchsafe(data: bytes) -> int:
    """Return a number stored in seven bits per byte."""
    number = 0
    for byte in data:
        number = number << 7 | byte & 127
    return number


def _synchronised(data: bytes) -> bytes:
    return data.replace(b"\xff\0", b"\xff")


def written(tags: Tags) -> bytes:
    """Return ``tags`` as a tag of version 2.4 in UTF-8; empty if there are none."""
    frames = b"".join(_frame(name, tags.texts[name]) for name in FIELDS if name in tags.texts)
    if picture := tags.picture:
        start = bytes([LATIN_1]) + picture.mime.encode() + bytes([0, FRONT_COVER, 0])
        frames += _framed("APIC", start + picture.data)
    if not frames:
        return b""
    return b"ID3\4\0\0" + _synchsafe_bytes(len(frames + PADDING)) + frames + PADDING


def _frame(field: str, values: tuple[str, ...]) -> bytes:
    name = FIELDS[field].id3[0]
    if name in ("COMM", "USLT"):
        start = bytes([UTF_8]) + LANGUAGE + b"\0"
        return _framed(name, start + values[0].encode())
    return _framed(name, bytes([UTF_8]) + "\0".join(values).encode())


def _framed(name: str, body: bytes) -> bytes:
    return name.encode() + _synchsafe_bytes(len(body)) + b"\0\0" + body


def _synchsafe_bytes(number: int) -> bytes:
    return bytes(number >> shift & 127 for shift in (21, 14, 7, 0))
