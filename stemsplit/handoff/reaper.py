"""Projects of Reaper: ``.rpp``, lines of text in nested blocks.

There is no specification; the elements are those of ReaTeam's "State Chunk Definitions", as far as
Reaper needs them. What is not said has Reaper's default, so what must not be is said.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from uuid import UUID, uuid5

from stemsplit.errors import OutputError
from stemsplit.handoff.session import Session, decimal, relative
from stemsplit.stem_names import shown_name
from stemsplit.types import Format, StreamInfo

#: What Reaper calls the readers of the formats that it has one of its own for.
SOURCES: dict[Format, str] = {
    "wav": "WAVE",
    "aiff": "WAVE",
    "flac": "FLAC",
    "mp3": "MP3",
    "ogg": "VORBIS",
    "opus": "OPUS",
}
#: Endings of songs, with what must be in the file for that reader to take it.
SONG_SOURCES = {
    ".wav": ("WAVE", "pcm_"),
    ".aif": ("WAVE", "pcm_"),
    ".aiff": ("WAVE", "pcm_"),
    ".flac": ("FLAC", "flac"),
    ".mp3": ("MP3", "mp3"),
    ".ogg": ("VORBIS", "vorbis"),
    ".opus": ("OPUS", "opus"),
}
#: Tracks are known by identifiers; the same stem has the same one in every project.
NAMESPACE = UUID("6a9a0f35-4b0e-5d7e-9f52-2f1f3f7d6a10")
#: Without this bit a colour counts as none.
HAS_COLOUR = 0x1000000
GREY = "#808080"


def write(session: Session, target: Path, file: BinaryIO) -> None:
    """Write the project of ``session``, which is to be at ``target``, into ``file``.

    One track for each stem, in step from 0 on; before them the song itself, muted, where Reaper
    has a reader of its own for it. Raises ``OSError``, and ``OutputError`` for a stem whose name
    holds all three kinds of quotes.
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
            source=SOURCES[session.format],
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
    """Return Reaper's reader of ``song``; None where it would need one of another program."""
    source, codec = SONG_SOURCES.get(song.path.suffix.lower(), (None, ""))
    return source if song.codec.startswith(codec) and song.stream == 0 else None


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
