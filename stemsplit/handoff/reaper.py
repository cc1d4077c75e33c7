"""Projects of Reaper: ``.rpp``, lines of text in nested blocks.

There is no specification; the elements are those of ReaTeam's "State Chunk Definitions", as far as
Reaper needs them. An element that is left out has Reaper's default, so all others are written.
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

#: Endings of songs that Reaper reads as one of the formats, if their codec starts so.
SONGS: dict[str, tuple[Format, str]] = {
    ".wav": ("wav", "pcm_"),
    ".aif": ("aiff", "pcm_"),
    ".aiff": ("aiff", "pcm_"),
    ".flac": ("flac", "flac"),
    ".mp3": ("mp3", "mp3"),
    ".ogg": ("ogg", "vorbis"),
    ".opus": ("opus", "opus"),
}
#: For identifiers of tracks: the same stem has the same one in every project.
NAMESPACE = UUID("6a9a0f35-4b0e-5d7e-9f52-2f1f3f7d6a10")
#: Without this bit Reaper ignores a colour.
HAS_COLOUR = 0x1000000
GREY = "#808080"


def write(session: Session, target: Path, file: BinaryIO) -> None:
    """Write the project of ``session``, which will be at ``target``, into ``file``.

    Each stem has a track, and all start at 0. Before them comes the song itself, muted, where
    Reaper has a reader of its own for it. Raises ``OSError``, and ``OutputError`` for a stem whose
    name holds all three kinds of quotes.
    """
    file.write("".join(f"{line}\n" for line in _project(session, target.parent)).encode())


def _project(session: Session, folder: Path) -> Iterator[str]:
    # The last number is when it was saved: the same session is to give the same bytes.
    yield '<REAPER_PROJECT 0.1 "7.0" 0'
    yield "  RIPPLE 0"
    yield "  TIMELOCKMODE 0"  # by time, not by beats: another tempo moves and stretches nothing
    yield f"  SAMPLERATE {session.sample_rate} 1 0"  # of the project, not of the sound card
    if session.tempo:
        yield f"  TEMPO {decimal(session.tempo)} 4 4"
    yield from _song(session, folder)
    for track in session.tracks:
        file = relative(track.path, folder)
        if _quoted(file) is None:
            raise OutputError("has a name that no Reaper project can hold", path=track.path)
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
    """Return Reaper's own reader of ``song``; None where it has none."""
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
    yield "      FADEIN 1 0 0"  # none; where nothing is said Reaper adds those of its settings
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
    """Return ``text`` in the first kind of quotes that is not in it.

    None where all are, and where it is more than a line, or no text at all.
    """
    if any(char < " " or "\ud800" <= char <= "\udfff" for char in text):
        return None
    return next((f"{mark}{text}{mark}" for mark in "\"'`" if mark not in text), None)


def _colour(colour: str) -> int:
    """Return ``#RRGGBB`` as Reaper counts it: blue on top."""
    red, green, blue = bytes.fromhex(colour[1:])
    return red | green << 8 | blue << 16 | HAS_COLOUR
