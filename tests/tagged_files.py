"""Songs with tags as other programs write them, and stems as other programs read them (mutagen)."""

from __future__ import annotations

import base64
import struct
import zlib
from pathlib import Path
from typing import Any

import mutagen.aiff
import mutagen.flac
import mutagen.id3
import mutagen.mp4
import mutagen.wave
from audio_files import noise, store

#: What every song here is tagged with, by the names of ``stemsplit.audio.tags.fields``.
TEXTS = {
    "title": ("Größe",),
    "artist": ("One", "Two"),
    "album": ("An album",),
    "albumartist": ("All of them",),
    "composer": ("Somebody",),
    "genre": ("Drum & Bass",),
    "date": ("2021-03-04",),
    "track": ("3/12",),
    "disc": ("1/2",),
    "bpm": ("174",),
    "key": ("F#m",),
    "isrc": ("USRC17607839",),
    "comment": ("first line\nsecond line",),
    "lyrics": ("la\nla",),
    "copyright": ("2021 Somebody",),
    "label": ("A label",),
    "grouping": ("A group",),
}
#: What describes the song only, and must not be in a stem.
FOREIGN = {
    "replaygain_track_gain": "-6.30 dB",
    "musicbrainz_trackid": "d6f3d15c-8a5b-4a3c-8c0e-7e2f4e0a8c1b",
    "acoustid_id": "9ff43b6a-4f16-427c-93c2-92307ca505e0",
}
ID3_FRAMES = {
    "title": "TIT2", "artist": "TPE1", "album": "TALB", "albumartist": "TPE2", "composer": "TCOM",
    "genre": "TCON", "date": "TDRC", "track": "TRCK", "disc": "TPOS", "bpm": "TBPM", "key": "TKEY",
    "isrc": "TSRC", "copyright": "TCOP", "label": "TPUB", "grouping": "TIT1",
}  # fmt: skip
VORBIS_NAMES = {
    **{name: name for name in TEXTS},
    "track": "tracknumber", "disc": "discnumber", "key": "initialkey",
}  # fmt: skip
MP4_ATOMS = {
    "title": "©nam", "artist": "©ART", "album": "©alb", "albumartist": "aART", "composer": "©wrt",
    "genre": "©gen", "date": "©day", "comment": "©cmt", "lyrics": "©lyr", "copyright": "cprt",
    "grouping": "©grp",
}  # fmt: skip
MP4_FREE = {"key": "initialkey", "isrc": "ISRC", "label": "LABEL"}
FREE = "----:com.apple.iTunes:"


def png(size: int = 3000) -> bytes:
    """Return a whole PNG of one pixel, with ``size`` bytes of text in it."""

    def part(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I4s", len(body), name) + body + struct.pack(">I", zlib.crc32(name + body))
        )

    text = b"Comment\0" + bytes(65 + i % 26 for i in range(size))
    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"\0\xff\0\0")
    parts = part(b"IHDR", header) + part(b"tEXt", text) + part(b"IDAT", rows) + part(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


COVER = png()


def store_song(path: Path, frames: int = 20_000, rate: int = 44100) -> Path:
    """Write noise to ``path``, with the tags and the cover that its container takes."""
    alac = path.name.startswith("alac")
    store(path, noise(frames), rate, *(("-c:a", "alac") if alac else ()))
    tag_song(path)
    return path


def tag_song(path: Path) -> None:
    """Write ``TEXTS``, ``COVER`` and ``FOREIGN`` into the file at ``path``."""
    if path.suffix in (".mp3", ".wav", ".aiff"):
        _tag_id3(path)
    elif path.suffix == ".m4a":
        _tag_mp4(path)
    else:
        _tag_vorbis(path)


def _tag_id3(path: Path) -> None:
    kinds = {".wav": mutagen.wave.WAVE, ".aiff": mutagen.aiff.AIFF}
    song: Any = kinds[path.suffix](path) if path.suffix in kinds else None
    if song is not None and song.tags is None:
        song.add_tags()
    tags = mutagen.id3.ID3() if song is None else song.tags
    for field, frame in ID3_FRAMES.items():
        tags.add(getattr(mutagen.id3, frame)(encoding=3, text=list(TEXTS[field])))
    tags.add(mutagen.id3.COMM(encoding=1, lang="eng", desc="iTunNORM", text="00000A"))
    tags.add(mutagen.id3.COMM(encoding=1, lang="deu", desc="", text=TEXTS["comment"][0]))
    tags.add(mutagen.id3.USLT(encoding=3, lang="eng", desc="", text=TEXTS["lyrics"][0]))
    for kind, data in ((4, b"\xff\xd8\xff the back"), (3, COVER)):
        tags.add(
            mutagen.id3.APIC(encoding=3, mime="image/png", type=kind, desc=str(kind), data=data)
        )
    for name, value in FOREIGN.items():
        tags.add(mutagen.id3.TXXX(encoding=3, desc=name, text=value))
    tags.add(mutagen.id3.TLEN(encoding=3, text="99999"))
    tags.add(mutagen.id3.PRIV(owner="TRAKTOR4", data=b"cues"))
    if song is None:
        tags.save(path)
    else:
        song.save()


def _tag_mp4(path: Path) -> None:
    song: Any = mutagen.mp4.MP4(path)
    for field, atom in MP4_ATOMS.items():
        song[atom] = list(TEXTS[field])
    for name, value in {**{MP4_FREE[f]: TEXTS[f][0] for f in MP4_FREE}, **FOREIGN}.items():
        song[FREE + name] = [value.encode()]
    song[FREE + "iTunSMPB"] = [b" 00000000 00000840 00000000 0000000000004E20"]
    song["trkn"], song["disk"], song["tmpo"] = [(3, 12)], [(1, 2)], [174]
    song["covr"] = [mutagen.mp4.MP4Cover(COVER, mutagen.mp4.MP4Cover.FORMAT_PNG)]
    song.save()


def _tag_vorbis(path: Path) -> None:
    song: Any = mutagen.File(path)
    for field, name in VORBIS_NAMES.items():
        song[name] = list(TEXTS[field])
    song["tracknumber"], song["tracktotal"] = ["3"], ["12"]
    for name, value in FOREIGN.items():
        song[name] = [value]
    song["encoder"] = ["another"]
    picture = mutagen.flac.Picture()
    picture.type, picture.mime, picture.data = 3, "image/png", COVER
    if path.suffix == ".flac":
        song.add_picture(picture)
    else:
        song["metadata_block_picture"] = [base64.b64encode(picture.write()).decode()]
    song.save()


def tags_in(path: Path) -> tuple[dict[str, tuple[str, ...]], bytes | None, set[str]]:
    """Return what mutagen finds: texts by our names, the cover, and the names of all the rest."""
    song: Any = mutagen.File(path)
    tags = song.tags
    if isinstance(tags, mutagen.id3.ID3):
        return _of_id3(tags)
    return _of_mp4(tags) if path.suffix == ".m4a" else _of_vorbis(song)


def _of_id3(tags: Any) -> tuple[dict[str, tuple[str, ...]], bytes | None, set[str]]:
    found = {f: tuple(map(str, tags[n].text)) for f, n in ID3_FRAMES.items() if n in tags}
    for field, key in (("comment", "COMM::eng"), ("lyrics", "USLT::eng")):
        if key in tags:
            text = tags[key].text
            found[field] = (text if isinstance(text, str) else text[0],)
    cover = next((frame.data for frame in tags.getall("APIC") if frame.type == 3), None)
    known = {*ID3_FRAMES.values(), "COMM::eng", "USLT::eng", "APIC:"}
    return found, cover, set(tags.keys()) - known


def _of_mp4(tags: Any) -> tuple[dict[str, tuple[str, ...]], bytes | None, set[str]]:
    found = {f: tuple(tags[a]) for f, a in MP4_ATOMS.items() if a in tags}
    free = {f: FREE + name for f, name in MP4_FREE.items()}
    found |= {f: (bytes(tags[name][0]).decode(),) for f, name in free.items() if name in tags}
    for field, atom in (("track", "trkn"), ("disc", "disk")):
        if atom in tags:
            found[field] = ("{}/{}".format(*tags[atom][0]),)
    if "tmpo" in tags:
        found["bpm"] = (str(tags["tmpo"][0]),)
    cover = bytes(tags["covr"][0]) if "covr" in tags else None
    known = {*MP4_ATOMS.values(), *free.values(), "trkn", "disk", "tmpo", "covr"}
    return found, cover, set(tags.keys()) - known


def _of_vorbis(song: Any) -> tuple[dict[str, tuple[str, ...]], bytes | None, set[str]]:
    tags = song.tags
    found = {f: tuple(tags[n]) for f, n in VORBIS_NAMES.items() if n in tags}
    for field, name in (("track", "tracktotal"), ("disc", "disctotal")):
        if name in tags:
            found[field] = (f"{found[field][0]}/{tags[name][0]}",)
    pictures = list(getattr(song, "pictures", []))
    for text in tags.get("metadata_block_picture", []):
        pictures.append(mutagen.flac.Picture(base64.b64decode(text)))
    known = {*VORBIS_NAMES.values(), "tracktotal", "disctotal", "key", "metadata_block_picture"}
    return found, pictures[0].data if pictures else None, {key.lower() for key, _ in tags} - known
