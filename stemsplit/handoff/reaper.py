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

from stemsplit.audio.detect import VIDEO_SUFFIXES
from stemsplit.audio.format_table import FORMATS
from stemsplit.errors import OutputError
from stemsplit.handoff.session import Session, decimal, relative
from stemsplit.stem_names import shown_name
from stemsplit.types import Format, StreamInfo

#: The type of source that Reaper uses for each extension, and how the name of the codec must start.
SOURCES: dict[str, tuple[str, str]] = {
    **dict.fromkeys((".wav", ".wave", ".bwf", ".w64", ".aif", ".aiff"), ("WAVE", "pcm_")),
    ".flac": ("FLAC", "flac"),
    ".mp3": ("MP3", "mp3"),
    ".ogg": ("VORBIS", "vorbis"),
    ".oga": ("VORBIS", "vorbis"),
    ".opus": ("OPUS", "opus"),
    ".wv": ("WAVPACK", "wavpack"),
    # Decoded by the system on Windows and macOS; Linux needs FFmpeg's or VLC's libraries.
    **dict.fromkeys((*VIDEO_SUFFIXES, ".m4a", ".m4b", ".aac", ".wma"), ("VIDEO", "")),
}
#: For identifiers of tracks: a stem has the same identifier in every project.
NAMESPACE = UUID("6a9a0f35-4b0e-5d7e-9f52-2f1f3f7d6a10")
#: Reaper ignores a colour without this bit.
HAS_COLOUR = 0x1000000
GREY = "#808080"


def write(session: Session, target: Path, file: BinaryIO) -> list[str]:
    """Write the project of ``session``, which will be at ``target``, to ``file``.

    Each stem has a track, starting at 0. The first track is the song itself, muted, if Reaper can
    read it; otherwise the returned warning says why not. Raises ``OSError``, and ``OutputError``
    for a stem whose name contains all three kinds of quotes.
    """
    file.write("".join(f"{line}\n" for line in _project(session, target.parent)).encode())
    lack = _reason_without_song(session.song, target.parent)
    return [] if lack is None else [f"the Reaper project lacks the song itself: {lack}"]


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
        return "it came from a stream, not a file"
    suffix = song.path.suffix.lower()
    if suffix not in SOURCES:
        return f"Reaper may not be able to read {suffix or 'files without an extension'}"
    _source, codec = SOURCES[suffix]
    if not song.codec.startswith(codec):
        return f"Reaper may not be able to read {song.codec} in {suffix}"
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
