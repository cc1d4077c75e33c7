"""A session, the content of a project file: a song and its aligned stems."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from stemsplit.audio.tags.model import Tags
from stemsplit.stem_names import colours_of
from stemsplit.types import Format, StreamInfo

TEMPO = re.compile(r"\s*(\d{2,3}(?:[.,]\d+)?)\s*(?:bpm)?\s*", re.IGNORECASE)
SLOWEST, FASTEST = 20, 666  # beats per minute that all of these programs support


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """One stem: ``path`` is the final path of its file, ``content`` where it is now."""

    stem: str
    path: Path
    content: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """The ``tracks`` of one song, aligned and with the same length."""

    name: str
    tracks: tuple[Track, ...]
    format: Format
    sample_rate: int  # Hz, of the stems as stored
    channels: int
    frames: int  # at that rate
    tags: Tags
    song: StreamInfo | None  # the song that was split, if its file stays

    @property
    def seconds(self) -> float:
        """The length in seconds."""
        return self.frames / self.sample_rate

    @property
    def colours(self) -> dict[str, str]:
        """The colour of each stem, as ``#RRGGBB``."""
        return colours_of(tuple(track.stem for track in self.tracks))

    @property
    def tempo(self) -> float | None:
        """Beats per minute from the song's tags; None if missing or invalid."""
        match = TEMPO.fullmatch(self.tags.texts.get("bpm", ("",))[0])
        if match is None:
            return None
        beats = float(match[1].replace(",", "."))
        return beats if SLOWEST <= beats <= FASTEST else None


def decimal(number: float) -> str:
    """Return ``number`` without an exponent, precise to less than one frame in a day.

    Not every reader accepts 1e-05.
    """
    return f"{number:.15f}".rstrip("0").rstrip(".")


def relative(path: Path, folder: Path) -> str:
    """Return ``path`` relative to ``folder``, with forward slashes, which every system accepts."""
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # on another drive
        return path.absolute().as_posix()
