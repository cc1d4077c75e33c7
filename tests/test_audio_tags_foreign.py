"""Tags of containers that ffmpeg reads for us."""

import shlex
import struct

import mutagen.apev2
import mutagen.asf
import mutagen.wavpack
import pytest
from audio_files import noise, run_ffmpeg, store
from tagged_files import COVER, TEXTS, store_song

from stemsplit.audio import ogg
from stemsplit.audio.ffmpeg import find_ffmpeg
from stemsplit.audio.probe import probe
from stemsplit.audio.tags import vorbis
from stemsplit.audio.tags.model import Picture, Tags
from stemsplit.audio.tags.reading import read_tags

#: Of two artists ffmpeg makes one text, or keeps the first.
JOINED = {**TEXTS, "artist": ("One;Two",)}
FIRST = {**TEXTS, "artist": ("One",)}
ASF_NAMES = {
    "title": "Title", "artist": "Author", "album": "WM/AlbumTitle", "albumartist": "WM/AlbumArtist",
    "composer": "WM/Composer", "genre": "WM/Genre", "date": "WM/Year", "track": "WM/TrackNumber",
    "disc": "WM/PartOfSet", "bpm": "WM/BeatsPerMinute", "key": "WM/InitialKey", "isrc": "WM/ISRC",
    "comment": "Description", "lyrics": "WM/Lyrics", "copyright": "Copyright",
    "label": "WM/Publisher", "grouping": "WM/ContentGroupDescription",
}  # fmt: skip
APE_NAMES = {**{field: field.title() for field in TEXTS}, "albumartist": "Album Artist",
             "date": "Year", "key": "InitialKey"}  # fmt: skip


def read(path):
    tags, warnings = read_tags(probe(path))
    assert warnings == []
    return tags


@pytest.fixture(scope="module")
def song(tmp_path_factory):
    return store_song(tmp_path_factory.mktemp("song") / "a.flac")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a.mka", ("-c:a", "libopus")),
        ("a.webm", ("-c:a", "libvorbis")),
        ("a.caf", ()),
        ("a.tta", ()),
    ],
)
def test_tags_that_ffmpeg_wrote(tmp_path, song, name, words):
    run_ffmpeg("-i", str(song), "-map", "0:a", *words, str(tmp_path / name))
    tags = read(tmp_path / name)
    assert tags.texts == JOINED
    assert tags.picture is None


def test_a_cover_attached_to_matroska(tmp_path, song):
    picture = tmp_path / "cover.png"
    picture.write_bytes(COVER)
    attached = ("-attach", str(picture), "-metadata:s:t", "mimetype=image/png")
    run_ffmpeg("-i", str(song), "-map", "0:a", "-c", "copy", *attached, str(tmp_path / "a.mka"))
    assert read(tmp_path / "a.mka").picture == Picture(mime="image/png", data=COVER)


def test_truncated_cover_art_is_ignored(tmp_path, song, monkeypatch):
    (tmp_path / "cover.png").write_bytes(COVER + bytes(100_000))
    attached = ("-attach", str(tmp_path / "cover.png"), "-metadata:s:t", "mimetype=image/png")
    run_ffmpeg("-i", str(song), "-map", "0:a", "-c", "copy", *attached, str(tmp_path / "a.mka"))
    dying = tmp_path / "dying"
    real = shlex.quote(find_ffmpeg())
    dying.write_text(
        "#!/bin/sh\n"
        f'case "$*" in *image2pipe*) {real} "$@" | head -c 50000; kill -9 $$;; esac\n'
        f'exec {real} "$@"\n'
    )
    dying.chmod(0o755)
    monkeypatch.setenv("STEMSPLIT_FFMPEG", str(dying))
    tags, warnings = read_tags(probe(tmp_path / "a.mka"))
    assert tags.texts == JOINED
    assert tags.picture is None
    assert warnings == ["its cover art could not be read; the stems get none"]


def test_windows_media(tmp_path):
    path = tmp_path / "a.wma"
    store(path, noise(20_000), 44100)
    song = mutagen.asf.ASF(path)
    for field, name in ASF_NAMES.items():
        song[name] = list(TEXTS[field])
    song["replaygain_track_gain"] = ["-6 dB"]
    head = struct.pack("<bI", 3, len(COVER)) + "image/png\0\0".encode("utf-16-le")
    song["WM/Picture"] = [mutagen.asf.ASFByteArrayAttribute(head + COVER)]
    song.save()
    tags = read(path)
    assert tags.texts == FIRST
    assert tags.picture == Picture(mime="image/png", data=COVER)


def test_ape_tags_of_wavpack(tmp_path):
    path = tmp_path / "a.wv"
    store(path, noise(20_000), 44100)
    song = mutagen.wavpack.WavPack(path)
    song.tags or song.add_tags()
    for field, name in APE_NAMES.items():
        song[name] = list(TEXTS[field])
    song["Cover Art (Front)"] = mutagen.apev2.APEBinaryValue(b"cover.png\0" + COVER)
    song.save()
    tags = read(path)
    assert tags.texts == FIRST
    assert tags.picture == Picture(mime="image/png", data=COVER)


def test_a_video_has_its_own_title_and_no_cover_art(tmp_path, song):
    film = tmp_path / "film.mkv"
    picture = ("-f", "lavfi", "-i", "testsrc=size=64x64:duration=1")
    sound = ("-map", "0:a", "-map", "1:v", "-c:a", "copy", "-c:v", "mpeg4")
    words = (*sound, "-metadata:s:a:0", "title=Stereo")
    run_ffmpeg("-i", str(song), *picture, *words, str(film))
    tags = read(film)
    assert tags.texts == JOINED
    assert tags.picture is None
    run_ffmpeg("-i", str(song), *picture, *words, "-map_metadata:g", "-1", str(film))
    assert read(film).texts == {}


def test_ogg_flac_has_pictures_in_separate_packets(tmp_path):
    """As `flac --ogg --picture` writes it; one that is larger than a page as well."""
    path = tmp_path / "a.oga"
    store(path, noise(20_000), 44100, "-c:a", "flac")
    cover = COVER + bytes(200_000)
    with path.open("rb") as file:
        start, *_ = ogg.audio_packets(file)
        file.seek(0)
        audio = [page for page in ogg.pages(file) if page.body[:1] == b"\xff"]
    comments = vorbis.written(Tags(texts=TEXTS), b"test", with_picture=False)
    picture = vorbis.picture_block(Picture(mime="image/png", data=cover))
    blocks = [
        bytes([kind]) + len(body).to_bytes(3, "big") + body
        for kind, body in ((4, comments), (1, bytes(9000)), (6 | 0x80, picture))
    ]
    serial = audio[0].serial
    made = ogg.packed([start[:7] + b"\0\3" + start[9:]], serial=serial, number=0, flags=ogg.FIRST)
    made += ogg.packed(blocks, serial=serial, number=1)
    path.write_bytes(b"".join(page.packed() for page in (*made, *audio)))
    tags = read(path)
    assert tags.texts == TEXTS
    assert tags.picture == Picture(mime="image/png", data=cover)
