"""Reads the tags of a song in any container."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import BinaryIO

from stemsplit.audio import ogg
from stemsplit.audio.tags import flac, foreign, id3, mp4, riff, vorbis
from stemsplit.audio.tags.model import Collector, Tags
from stemsplit.types import StreamInfo


def read_tags(info: StreamInfo) -> tuple[Tags, list[str]]:
    """Return the tags of the song of ``info``, and warnings about them.

    The content of the file decides its format, not its name. If tags are damaged, those before the
    damage are returned; nothing is raised, because a song can be split without tags. The place in
    the session is that of the excerpt in ``info``.
    """
    found = Collector()
    try:
        with info.path.open("rb") as file:
            known = _read(file, found)
        if not known:
            foreign.read(info, found)
    except (ValueError, struct.error, OSError) as exc:
        found.warnings.append(f"its tags are damaged ({exc}); the stems get what could be read")
    tags = found.tags()
    if tags.broadcast:
        tags = replace(tags, broadcast=tags.broadcast.later(info.first_frame))
    return tags, found.warnings


def _read(file: BinaryIO, found: Collector) -> bool:
    """Add the tags of ``file`` to ``found``; return whether it cannot have any others."""
    start = file.read(12)
    if start[:3] == b"ID3":  # belongs before MPEG audio, but some programs put it before others
        size = id3.size_of(start)
        if size is None or size > id3.LARGEST_TAG:
            raise ValueError("an ID3 tag of invalid size")
        file.seek(0)
        id3.read(file.read(size), found)
        start = file.read(12)
        file.seek(size)
    else:
        file.seek(0)
    place = file.tell()
    if start[:4] == flac.MAGIC:
        file.seek(place + 4)
        flac.read(file, found)
    elif start[:4] == ogg.MAGIC:
        return _read_ogg(file, found)
    elif start[:4] in (b"RIFF", b"RF64", b"BW64") and start[8:] == b"WAVE":
        riff.read_wav(file, found)
    elif start[:4] == b"FORM" and start[8:] in (b"AIFF", b"AIFC"):
        riff.read_aiff(file, found)
    elif start[4:8] in (b"ftyp", b"moov", b"wide", b"mdat", b"free", b"skip"):
        mp4.read(file, found)
        return bool(found.texts)  # QuickTime can store them in other ways
    else:
        file.seek(max(place, file.seek(0, 2) - 128))
        id3.read_version_1(file.read(128), found)
        return bool(found.texts)
    return True


def _read_ogg(file: BinaryIO, found: Collector) -> bool:
    packets = ogg.audio_packets(file)
    first = next(packets, b"")
    kind = next((kind for kind in ogg.WRAPPINGS if first.startswith(kind)), None)
    if kind == ogg.FLAC:
        flac.read_packets(packets, found)
    elif kind is not None:
        vorbis.read(next(packets, b"")[len(ogg.WRAPPINGS[kind][0]) :], found)
    return kind is not None
