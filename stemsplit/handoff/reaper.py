"""Projects of Reaper: ``.rpp``, lines of text in nested blocks.

There is no specification; the elements are those of ReaTeam's "State Chunk Definitions", as far as
Reaper needs them. An element that is left out has Reaper's default, so all others are written.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from uuid import UUID, uuid5

from stemsplit.audio.detect import FILM_SUFFIXES
from stemsplit.audio.format_table import FORMATS
from stemsplit.errors import OutputError
from stemsplit.handoff.session import Session, decimal, relative
from stemsplit.stem_names import shown_name
from stemsplit.types import Format, StreamInfo

#: The type of source that Reaper reads a file with such an ending as, and how its codec must begin.
SOURCES: dict[str, tuple[str, str]] = {
    **dict.fromkeys((".wav", ".wave", ".bwf", ".w64", ".aif", ".aiff"), ("WAVE", "pcm_")),
    ".flac": ("FLAC", "flac"),
    ".mp3": ("MP3", "mp3"),
    ".ogg": ("VORBIS", "vorbis"),
    ".oga": ("VORBIS", "vorbis"),
    ".opus": ("OPUS", "opus"),
    ".wv": ("WAVPACK", "wavpack"),
    # By the decoder of the system on Windows and macOS; on Linux it needs FFmpeg's or VLC's.
    **dict.fromkeys((*FILM_SUFFIXES, ".m4a", ".m4b", ".aac", ".wma"), ("VIDEO", "")),
}
#: For identifiers of tracks: the same stem has the same one in every project.
NAMESPACE = UUID("6a9a0f35-4b0e-5d7e-9f52-2f1f3f7d6a10")
#: Without this bit Reaper ignores a colour.
HAS_COLOUR = 0x1000000
GREY = "#808080"


def write(session: Session, target: Path, file: BinaryIO) -> list[str]:
    """Write the project of ``session``, which will be at ``target``, into ``file``.

    Each stem has a track, and all start at 0. Before them comes the song itself, muted, where
    Reaper can read it; if not, the warning that is returned says why. Raises ``OSError``, and
    ``OutputError`` for a stem whose name holds all three kinds of quotes.
    """
    file.write("".join(f"{line}\n" for line in _project(session, target.parent)).encode())
    lack = _reason_without_song(session.song, target.parent)
    return [] if lack is None else [f"the Reaper project lacks the song itself: {lack}"]


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
    if song is None or _reason_without_song(song, folder) is not None:
        return
    source, _codec = SOURCES[song.path.suffix.lower()]
    yield from _track(
        "",
        session.name,
        colour=GREY,
        source=source,
        file=relative(song.path, folder),
        length=session.seconds,
        start=song.first_frame / song.sample_rate,
        muted=True,
    )


def _reason_without_song(song: StreamInfo | None, folder: Path) -> str | None:
    """Return why ``song`` has no track in a project in ``folder``; None if it has one."""
    if song is None:
        return "it comes from a stream, which leaves no file"
    suffix = song.path.suffix.lower()
    if suffix not in SOURCES:
        return f"Reaper is not known to read {suffix or 'files without an ending'}"
    _source, codec = SOURCES[suffix]
    if not song.codec.startswith(codec):
        return f"Reaper is not known to read {song.codec} in {suffix}"
    if song.stream != 0:
        return "Reaper plays the first audio stream of a file, and another one was split"
    if _quoted(relative(song.path, folder)) is None:
        return "its path has characters that no Reaper project can hold"
    return None


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
