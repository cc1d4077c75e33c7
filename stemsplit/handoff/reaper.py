"""Reaper projects: ``.rpp``, lines of text in nested blocks.

There is no specification; the elements follow ReaTeam's "State Chunk Definitions", as far as
Reaper needs them. Reaper uses its default for an element that is left out, so only the others are
written.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from uuid import UUID, uuid5

from stemsplit.audio.format_table import FORMATS
from stemsplit.errors import OutputError
from stemsplit.handoff.session import Session, decimal, relative
from stemsplit.stem_names import shown_name
from stemsplit.types import Format, StreamInfo

#: Extensions of songs that Reaper can read: the format, and how the name of the codec must start.
SONGS: dict[str, tuple[Format, str]] = {
    ".wav": ("wav", "pcm_"),
    ".aif": ("aiff", "pcm_"),
    ".aiff": ("aiff", "pcm_"),
    ".flac": ("flac", "flac"),
    ".mp3": ("mp3", "mp3"),
    ".ogg": ("ogg", "vorbis"),
    ".opus": ("opus", "opus"),
}
#: For identifiers of tracks: a stem has the same identifier in every project.
NAMESPACE = UUID("6a9a0f35-4b0e-5d7e-9f52-2f1f3f7d6a10")
#: Reaper ignores a colour without this bit.
HAS_COLOUR = 0x1000000
GREY = "#808080"


def write(session: Session, target: Path, file: BinaryIO) -> None:
    """Write the project of ``session``, which will be at ``target``, to ``file``.

    Each stem has a track, starting at 0. The first track is the song itself, muted, if Reaper has
    its own reader for it. Raises ``OSError``, and ``OutputError`` for a stem whose name contains
    all three kinds of quotes.
    """
    file.write("".join(f"{line}\n" for line in _project(session, target.parent)).encode())


def _project(session: Session, folder: Path) -> Iterator[str]:
    # The last number is the time of saving: 0, so that a session always results in the same bytes.
    yield '<REAPER_PROJECT 0.1 "7.0" 0'
    yield "  RIPPLE 0"
    yield "  TIMELOCKMODE 0"  # time, not beats: changing the tempo does not move or stretch clips
    yield f"  SAMPLERATE {session.sample_rate} 1 0"  # of the project, not of the sound card
    if session.tempo:
        yield f"  TEMPO {decimal(session.tempo)} 4 4"
    yield from _song(session, folder)
    for track in session.tracks:
        file = relative(track.path, folder)
        if _quoted(file) is None:
            raise OutputError("has a name that Reaper projects cannot store", path=track.path)
        yield from _track(
            track.stem,
            shown_name(track.stem),
            colour=session.colours[track.stem],
            source=_reader(session.format),
            file=file,
            length=session.seconds,
        )
    yield ">"


def _song(session: Session, folder: Path) -> Iterator[str]:
    song = session.song
    source = None if song is None else _source_of(song)
    if song is None or source is None:
        return
    file = relative(song.path, folder)
    if _quoted(file) is None:
        return
    yield from _track(
        "",
        session.name,
        colour=GREY,
        source=source,
        file=file,
        length=session.seconds,
        start=song.first_frame / song.sample_rate,
        muted=True,
    )


def _source_of(song: StreamInfo) -> str | None:
    """Return Reaper's own reader for ``song``; None if it has none."""
    format, codec = SONGS.get(song.path.suffix.lower(), (None, ""))
    if format is None or song.stream != 0 or not song.codec.startswith(codec):
        return None
    return _reader(format)


def _reader(format: Format) -> str:
    return FORMATS[format].projects["reaper"]


def _track(
    stem: str,
    name: str,
    *,
    colour: str,
    source: str,
    file: str,
    length: float,
    start: float = 0.0,
    muted: bool = False,
) -> Iterator[str]:
    identifier = f"{{{str(uuid5(NAMESPACE, stem)).upper()}}}"
    title = _quoted(name) or '""'
    yield f"  <TRACK {identifier}"
    yield f"    NAME {title}"
    yield f"    PEAKCOL {_colour(colour)}"
    yield "    BEAT -1"
    yield "    VOLPAN 1 0 -1"
    yield f"    MUTESOLO {int(muted)} 0 0"
    yield "    ISBUS 0 0"
    yield "    NCHAN 2"
    yield f"    TRACKID {identifier}"
    yield "    <ITEM"
    yield "      POSITION 0"
    yield f"      LENGTH {decimal(length)}"
    yield "      LOOP 0"
    yield "      FADEIN 1 0 0"  # no fades; if left out, Reaper adds those of its settings
    yield "      FADEOUT 1 0 0"
    yield "      MUTE 0 0"
    yield f"      NAME {title}"
    yield "      VOLPAN 1 0 1 -1"
    yield f"      SOFFS {decimal(start)}"
    yield "      PLAYRATE 1 1 0 -1"
    yield "      CHANMODE 0"
    yield f"      <SOURCE {source}"
    yield f"        FILE {_quoted(file)}"
    yield "      >"
    yield "    >"
    yield "  >"


def _quoted(text: str) -> str | None:
    """Return ``text`` in the first kind of quotes that it does not contain.

    None if it contains all of them, has several lines, or is not valid text.
    """
    if any(char < " " or "\ud800" <= char <= "\udfff" for char in text):
        return None
    return next((f"{mark}{text}{mark}" for mark in "\"'`" if mark not in text), None)


def _colour(colour: str) -> int:
    """Return ``#RRGGBB`` as Reaper's integer, with blue in the highest byte."""
    red, green, blue = bytes.fromhex(colour[1:])
    return red | green << 8 | blue << 16 | HAS_COLOUR
