"""The tags that are kept, with the same field names for all containers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction

#: Limits, because tags are untrusted input.
LONGEST_TEXT = 2**16  # characters
MOST_VALUES = 32  # of one field
LARGEST_PICTURE = 2**24 - 2**16  # bytes: a FLAC block counts them in 24 bits

FRONT_COVER = 3  # the kind of picture, in ID3 and FLAC
MIME_TYPES = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png"}
PAIR = re.compile(r"\s*(\d{1,5})?\s*(?:/\s*(\d{1,5}))?\s*")


class DamagedTags(ValueError):
    """Tags that are damaged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """An unmodified cover, JPEG or PNG."""

    mime: str
    data: bytes = field(repr=False)

    @classmethod
    def of(cls, data: bytes) -> Picture | None:
        """Return the picture in ``data``; None if it is neither JPEG nor PNG, or too large.

        Its first bytes decide: the type that tags declare is often wrong, and some formats cannot
        declare one.
        """
        if len(data) <= LARGEST_PICTURE:
            for start, mime in MIME_TYPES.items():
                if data.startswith(start):
                    return cls(mime=mime, data=data)
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Broadcast:
    """Where and when a recording was made: the bext chunk of a Broadcast Wave (EBU Tech 3285).

    ``time_reference`` is its place in the session: frames at ``sample_rate`` since midnight.
    """

    description: bytes
    originator: bytes
    originator_reference: bytes
    date: bytes
    time: bytes
    time_reference: int
    sample_rate: int  # Hz
    coding_history: bytes

    def at(self, sample_rate: int) -> Broadcast:
        """Return the same place for a file with another sample rate."""
        place = round(Fraction(self.time_reference * sample_rate, self.sample_rate))
        return replace(self, time_reference=place, sample_rate=sample_rate)

    def later(self, frames: int) -> Broadcast:
        """Return the place ``frames`` after the start of the file."""
        return replace(self, time_reference=self.time_reference + frames)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tags:
    """Texts by field of ``fields.FIELDS``, at least one each; front cover; broadcast data."""

    texts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    picture: Picture | None = None
    broadcast: Broadcast | None = None

    def of_stem(self, stem: str) -> Tags:
        """Return the tags of a stem, with its name added to the title, if there is one."""
        if "title" not in self.texts:
            return self
        title = f"{self.texts['title'][0]} ({stem})"
        return replace(self, texts={**self.texts, "title": (title,)})


class Collector:
    """Gathers tags while they are read; the first value of each field is kept."""

    def __init__(self) -> None:
        self.texts: dict[str, tuple[str, ...]] = {}
        self.broadcast: Broadcast | None = None
        self.warnings: list[str] = []
        self._pictures: dict[bool, Picture] = {}  # by whether it is the front cover

    def add(self, name: str, values: Iterable[str]) -> None:
        """Keep ``values`` of the field ``name``, unless it already has some or they are empty."""
        cleaned = [clean(value) for value in list(values)[:MOST_VALUES]]
        kept = tuple(dict.fromkeys(value for value in cleaned if value))
        if kept:
            self.texts.setdefault(name, kept)

    def add_picture(self, kind: int, data: bytes) -> None:
        """Keep the picture in ``data``, unless there already is one of that kind."""
        if picture := Picture.of(data):
            self._pictures.setdefault(kind == FRONT_COVER, picture)
        elif data:
            self.warnings.append(
                "its cover art is neither JPEG nor PNG, or is too large; the stems get none"
            )

    def tags(self) -> Tags:
        """Return what was gathered."""
        picture = self._pictures.get(True) or self._pictures.get(False)
        return Tags(texts=self.texts, picture=picture, broadcast=self.broadcast)


def clean(text: str) -> str:
    """Return ``text`` without characters that containers cannot store, or readers cannot show."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n")[:LONGEST_TEXT]
    shown = (char if char in "\n\t" or ord(char) >= 32 else " " for char in lines)
    # Half of a surrogate pair cannot be stored.
    return "".join(shown).encode("utf-8", "replace").decode().strip()


def pair(text: str) -> tuple[int, int] | None:
    """Return number and total of ``3/12`` (0: not given); None if ``text`` is something else."""
    match = PAIR.fullmatch(text)
    if match is None or not any(match.groups()):
        return None
    number, total = (int(group or 0) for group in match.groups())
    return number, total


class Cursor:
    """Takes bytes from the front of ``data``; raises ``DamagedTags`` if there are too few."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    @property
    def left(self) -> int:
        """The number of bytes left."""
        return len(self._data) - self._place

    def take(self, size: int) -> bytes:
        """Return the next ``size`` bytes."""
        if size > self.left:
            raise DamagedTags(f"{size} bytes declared, {self.left} left")
        self._place += size
        return self._data[self._place - size : self._place]

    def number(self, size: int, order: str = "big") -> int:
        """Return the next ``size`` bytes as an unsigned integer."""
        return int.from_bytes(self.take(size), "big" if order == "big" else "little")

    def peek(self, size: int, ahead: int = 0) -> bytes:
        """Return up to ``size`` bytes, ``ahead`` bytes from here, without taking them."""
        start = self._place + ahead
        return self._data[start : start + size]
