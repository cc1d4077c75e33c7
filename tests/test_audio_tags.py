"""Tags: read from what other programs write, written so that other programs read them."""

import io
import struct
import time
import zlib
from dataclasses import replace
from pathlib import Path

import mutagen
import mutagen.id3
import mutagen.mp4
import pytest
import soundfile
from audio_files import noise, run_ffmpeg, store, store_wav
from hypothesis import given, settings
from hypothesis import strategies as st
from mutagen._constants import GENRES
from stem_files import EACH_STEM, OTHER_READER, read, write_stem
from tagged_files import COVER, FOREIGN, TEXTS, png, store_song, tags_in

from stemsplit.audio.encoders import pcm
from stemsplit.audio.format_table import FORMATS
from stemsplit.audio.probe import probe
from stemsplit.audio.tags import fields, id3, mp4, vorbis
from stemsplit.audio.tags.model import (
    LARGEST_PICTURE,
    LONGEST_TEXT,
    Broadcast,
    Collector,
    Picture,
    Tags,
    clean,
    pair,
)
from stemsplit.audio.tags.reading import read_tags
from stemsplit.audio.tags.riff import read_wav
from stemsplit.types import StreamInfo

SOURCES = ("mp3", "wav", "aiff", "flac", "ogg", "opus", "m4a", "alac.m4a")
BROADCAST = Broadcast(
    description=b"Take 3",
    originator=b"A recorder",
    originator_reference=b"USXYZ0001",
    date=b"2021-03-04",
    time=b"10:11:12",
    time_reference=2**33 + 5,
    sample_rate=44100,
    coding_history=b"A=PCM,F=44100,W=24,M=stereo\r\n",
)


def tags_of(path):
    tags, warnings = read_tags(probe(path))
    assert warnings == []
    return tags


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("songs")
    return {
        kind: store_song(folder / (f"a.{kind}" if "." not in kind else kind)) for kind in SOURCES
    }


@pytest.mark.parametrize("kind", SOURCES)
def test_what_other_programs_write_is_read(songs, kind):
    tags = tags_of(songs[kind])
    assert tags.texts == TEXTS
    assert tags.picture == Picture(mime="image/png", data=COVER)
    assert tags.broadcast is None


@pytest.mark.parametrize("format", EACH_STEM)
def test_what_is_written_other_programs_read(tmp_path, songs, format):
    tags = tags_of(songs["mp3"])
    path = write_stem(tmp_path, tags, format)
    texts, cover, rest = tags_in(path)
    assert texts == {**TEXTS, "title": ("Größe (vocals)",)}
    assert cover == COVER
    assert rest == set()
    assert not any(value.encode() in path.read_bytes() for value in FOREIGN.values())
    again = tags_of(path)
    assert again == tags.of_stem("vocals")
    # The audio is what it is without tags.
    bare = write_stem(tmp_path / "bare", Tags(), format)
    assert (read(path) == read(bare)).all()
    if format in OTHER_READER:
        assert soundfile.info(path).frames == soundfile.info(bare).frames


@pytest.mark.parametrize("format", EACH_STEM)
def test_ffmpeg_reads_title_tempo_and_cover(tmp_path, format):
    tags = Tags(texts=TEXTS, picture=Picture(mime="image/png", data=COVER))
    path = write_stem(tmp_path, tags, format)
    shown = run_ffmpeg("-i", f"file:{path}", "-f", "ffmetadata", "pipe:1").decode()
    if format in ("ogg", "opus"):  # they are tags of the stream there
        words = ("-map_metadata", "0:s:a:0", "-f", "ffmetadata", "pipe:1")
        shown = run_ffmpeg("-i", f"file:{path}", *words).decode()
    assert "title=größe (vocals)\n" in shown.lower()
    if FORMATS[format].extension != "m4a":  # whose tempo ffmpeg does not report
        assert "=174\n" in shown
    picture = run_ffmpeg("-i", f"file:{path}", "-map", "0:v", "-c", "copy", "-f", "image2pipe", "-")
    assert picture == COVER


@pytest.mark.parametrize("format", EACH_STEM)
def test_a_song_without_tags_has_stems_without_tags(tmp_path, format):
    path = write_stem(tmp_path, Tags(), format)
    assert tags_of(path) == Tags()
    song = mutagen.File(path)
    assert not [key for key in (song.tags or {}) if str(key).lower() != "encoder"]


@pytest.mark.parametrize("version", [3, 4])
def test_tags_of_ffmpeg_are_read(tmp_path, version):
    """Comments as TXXX, and version 2.3 with its dates."""
    words = []
    for name in ("title=A", "artist=B", "comment=C", "date=2020-01-02", "TBPM=99", "TKEY=Am"):
        words += ["-metadata", name]
    coder = ("-c:a", "libmp3lame", "-id3v2_version", str(version), *words)
    path = store(tmp_path / "a.mp3", noise(5000), 44100, *coder)
    expected = {"title": "A", "artist": "B", "comment": "C", "bpm": "99", "key": "Am"}
    found = dict(tags_of(path).texts)
    assert found.pop("date")[0].startswith("2020")
    assert found == {name: (value,) for name, value in expected.items()}


def test_after_the_last_frame_there_is_room_for_another():
    """ExifTool 12 calls a size invalid where there is not."""
    data = id3.written(Tags(texts=TEXTS, picture=Picture(mime="image/png", data=COVER)))
    assert id3.size_of(data[:10]) == len(data)
    assert data.endswith(COVER + bytes(10))


def test_old_versions_of_id3(tmp_path):
    song = store(
        tmp_path / "a.mp3", noise(5000), 44100, "-c:a", "libmp3lame", "-id3v2_version", "0"
    )
    tags = mutagen.id3.ID3()
    tags.add(mutagen.id3.TIT2(encoding=1, text=["Ж", "Second"]))
    tags.add(mutagen.id3.TCON(encoding=0, text="(17)"))
    tags.add(mutagen.id3.TDRC(encoding=0, text="1999-12-31"))
    tags.add(mutagen.id3.APIC(encoding=1, mime="image/png", type=3, desc="é", data=COVER))
    tags.update_to_v23()
    tags.save(song, v2_version=3, v1=2)
    found = tags_of(song)
    assert found.texts == {"title": ("Ж/Second",), "genre": ("Rock",), "date": ("1999-12-31",)}
    assert found.picture.data == COVER
    mutagen.id3.delete(song, delete_v1=False, delete_v2=True)
    assert tags_of(song).texts == {"title": ("?",), "genre": ("Rock",), "date": ("1999",)}
    pic = b"\0PNG\3cover\0" + COVER
    old = b"TT2\0\0\6\0Older" + b"TCO\0\0\3\x0017" + b"PIC" + len(pic).to_bytes(3, "big") + pic
    header = b"ID3\2\0\0" + bytes(len(old) >> shift & 127 for shift in (21, 14, 7, 0))
    song.write_bytes(header + old + song.read_bytes())
    found = tags_of(song)
    assert found.texts == {"title": ("Older",), "genre": ("Rock",), "date": ("1999",)}
    assert found.picture.data == COVER


def test_id3_with_its_wrappings():
    """Unsynchronised, compressed, grouped, and with the sizes that iTunes wrote."""

    def frame(name, body, flags, size=None):
        return name + (len(body) if size is None else size).to_bytes(4, "big") + flags + body

    def found_in(version, body, flags=0):
        size = bytes(len(body) >> shift & 127 for shift in (21, 14, 7, 0))
        found = Collector()
        id3.read(b"ID3" + bytes([version, 0, flags]) + size + body, found)
        return found.tags().texts

    text = b"\0plain"
    packed = len(text).to_bytes(4, "big") + zlib.compress(text)
    assert found_in(3, frame(b"TIT2", packed, b"\0\x80")) == {"title": ("plain",)}
    assert found_in(3, frame(b"TIT2", b"\7" + text, b"\0\x20")) == {"title": ("plain",)}
    assert found_in(3, frame(b"TIT2", text, b"\0\x40")) == {}  # encrypted
    wide = "\1\xff\xfeÿ\0a\0".encode("latin-1")
    loose = wide.replace(b"\xff", b"\xff\0")
    assert found_in(3, frame(b"TIT2", wide, b"\0\0").replace(b"\xff", b"\xff\0"), 0x80) == {
        "title": ("ÿa",)
    }
    assert found_in(4, frame(b"TIT2", loose, b"\0\2")) == {"title": ("ÿa",)}
    long = b"\3" + b"x" * 300
    plain = frame(b"TIT2", long, b"\0\0") + frame(b"TALB", text, b"\0\0")
    assert found_in(4, plain) == {"title": ("x" * 300,), "album": ("plain",)}
    right = b"TIT2\0\0\2\x2d\0\0" + long + frame(b"TALB", text, b"\0\0")
    assert found_in(4, right) == found_in(4, plain)
    bomb = b"\0\0\0\0" + zlib.compress(bytes(2**26), 9)
    assert found_in(3, frame(b"TIT2", bomb, b"\0\x80")) == {}


def test_fractions_of_a_beat_are_kept(tmp_path):
    for format in EACH_STEM:
        path = write_stem(tmp_path, Tags(texts={"bpm": ("127.97",)}), format)
        assert tags_of(path).texts == {"bpm": ("127.97",)}
    assert mutagen.mp4.MP4(tmp_path / "m4a.m4a")["tmpo"] == [128]
    for odd in ("fast", "-3", "inf", "nan", "1e99"):
        assert len(mp4.written(Tags(texts={"bpm": (odd,), "title": ("a",)}))) > 0


def bext_of(path):
    data = path.read_bytes()
    place = data.index(b"bext")
    (size,) = struct.unpack_from("<I", data, place + 4)
    return data[place + 8 :][:size], place < data.index(b"data")


def store_broadcast(path, rate=44100):
    """Write a WAV as recorders do: bext before the samples, an UMID and a loudness in it."""
    store_wav(path, noise(20_000), rate)
    data = path.read_bytes()
    body = struct.pack(
        "<256s32s32s10s8sQH64s10s180s", b"Take 3", b"A recorder", b"USXYZ0001", b"2021-03-04",
        b"10:11:12", 2**33 + 5, 2, b"\6" * 64, b"\1" * 10, b"",
    ) + b"A=PCM,F=44100,W=24,M=stereo\r\n\0"  # fmt: skip
    chunk = struct.pack("<4sI", b"bext", len(body)) + body
    path.write_bytes(
        data[:4] + struct.pack("<I", len(data) - 8 + len(chunk)) + data[8:12] + chunk + data[12:]
    )
    return path


@pytest.mark.parametrize("depth", ["16", "24", "32f"])
def test_stems_keep_the_place_in_the_session(tmp_path, depth):
    song = store_broadcast(tmp_path / "song.wav")
    tags = tags_of(song)
    assert tags.broadcast == BROADCAST
    path = write_stem(tmp_path, tags, "wav", depth=depth)
    body, first = bext_of(path)
    assert first
    assert body[:6] + body[256:266] + body[288:297] == b"Take 3A recorderUSXYZ0001"
    assert body[320:338] == b"2021-03-0410:11:12"
    assert struct.unpack_from("<QH", body, 338) == (2**33 + 5, 1)
    assert not any(body[348:602])  # of the song alone: UMID, loudness
    assert body[602:] == BROADCAST.coding_history + b"\0"  # of even length
    assert tags_of(path).broadcast == BROADCAST
    assert read(path).shape == (2, 20_000)
    assert path.stat().st_size == struct.unpack_from("<I", path.read_bytes(), 4)[0] + 8


def test_the_place_of_a_part_and_at_another_rate(tmp_path):
    info = probe(store_broadcast(tmp_path / "song.wav"))
    tags, _ = read_tags(replace(info, first_frame=441))
    assert tags.broadcast.time_reference == 2**33 + 5 + 441
    assert BROADCAST.at(88200).time_reference == 2**34 + 10
    assert BROADCAST.at(48000).time_reference == round((2**33 + 5) * 48000 / 44100)


@pytest.mark.parametrize("size", range(4))
def test_a_list_too_short_for_its_name_is_skipped(tmp_path, size):
    """Its size, less that of the name, would be below zero: that means all of the file."""
    chunks = b"LIST" + struct.pack("<I", size) + b"INFO"
    data = b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks

    class Counting(io.BytesIO):
        def read(self, count=-1, /):
            assert count >= 0
            return super().read(count)

    read_wav(Counting(data), Collector())


def test_a_wav_with_info_only(tmp_path):
    path = store(
        tmp_path / "a.wav", noise(1000), 44100, "-c:a", "pcm_s16le", "-metadata", "title=A é"
    )
    assert tags_of(path).texts == {"title": ("A é",)}
    data = path.read_bytes().replace("é".encode(), b"\xe9\0")  # as Windows writes it
    path.write_bytes(data)
    assert tags_of(path).texts["title"] == ("A é",)


@pytest.mark.parametrize("name", [b"IPRT", b"ITRK"])
def test_the_number_of_a_track_in_a_wav(tmp_path, name):
    path = store(tmp_path / "a.wav", noise(1000), 44100, "-metadata", "track=7")
    path.write_bytes(path.read_bytes().replace(b"IPRT", name))
    assert tags_of(path).texts == {"track": ("7",)}


def test_libsndfile_reads_the_texts_of_wav_and_aiff(tmp_path):
    """It knows no ID3. Those of AIFF are ASCII, so there are none for what is not."""
    tags = Tags(texts={**TEXTS, "artist": ("One",)})
    with soundfile.SoundFile(write_stem(tmp_path, tags, "wav")) as file:
        assert (file.title, file.artist, file.album) == ("Größe (vocals)", "One", "An album")
        assert (file.tracknumber, file.date, file.genre) == ("3/12", "2021-03-04", "Drum & Bass")
    with soundfile.SoundFile(write_stem(tmp_path, tags, "aiff")) as file:
        assert (file.title, file.artist, file.copyright) == ("", "One", "2021 Somebody")
        assert file.comment == "first line\nsecond line"


def test_an_aiff_with_texts_only(tmp_path):
    coder = ("-c:a", "pcm_s16be", "-metadata", "title=A", "-metadata", "author=B")
    path = store(tmp_path / "a.aiff", noise(1000), 44100, *coder)
    assert tags_of(path).texts == {"title": ("A",), "artist": ("B",)}


def test_the_content_decides_and_not_the_name(tmp_path, songs):
    for kind in SOURCES:
        path = tmp_path / "song.bin"
        path.write_bytes(songs[kind].read_bytes())
        assert tags_of(path).texts == TEXTS


def test_large_covers_and_long_texts(tmp_path):
    """More pages than one, more than 64 KiB, and what is beyond the bounds."""
    texts = {"title": ("t" * 70_000,), "lyrics": ("l\n" * 30_000,)}
    tags = Tags(texts=texts, picture=Picture(mime="image/png", data=png(300_000)))
    for format in EACH_STEM:
        back = tags_of(write_stem(tmp_path, tags, format))
        assert back.picture == tags.picture
        assert len(back.texts["title"][0]) == LONGEST_TEXT
        assert back.texts["lyrics"] == (clean(texts["lyrics"][0]),)
    found = Collector()
    found.add_picture(3, b"\x89PNG\r\n\x1a\n" + bytes(LARGEST_PICTURE))
    found.add_picture(3, b"GIF89a")
    assert found.tags().picture is None
    assert len(found.warnings) == 2


@settings(max_examples=60, deadline=None)
@given(
    texts=st.dictionaries(st.sampled_from(sorted(fields.FIELDS)), st.text(min_size=1, max_size=40))
)
def test_any_text_survives_every_container(texts):
    collector = Collector()
    for name, value in texts.items():
        collector.add(name, [value])
    tags = collector.tags()
    found = Collector()
    if data := id3.written(tags):
        id3.read(data, found)
    kept = dict(tags.texts)
    if "genre" in kept:  # a bare number is the number of a name
        kept["genre"] = tuple(id3._genres(list(kept["genre"])))
    assert found.tags().texts == kept
    found = Collector()
    vorbis.read(vorbis.written(tags, b"", with_picture=True), found)
    back = found.tags().texts
    for name in tags.texts:
        if name in fields.TOTALS and (numbers := pair(tags.texts[name][0])):
            assert pair(back[name][0]) == numbers
        else:
            assert back[name] == tags.texts[name]


@pytest.mark.parametrize("kind", SOURCES)
def test_damaged_tags_never_raise(tmp_path, songs, kind):
    whole = songs[kind].read_bytes()
    info = replace(probe(songs[kind]), path=tmp_path / "bad")
    place = max(0, whole.find(b"An album") - 400)

    @settings(max_examples=60, deadline=None)
    @given(
        start=st.integers(0, 600) | st.integers(place, min(place + 1200, len(whole) - 1)),
        junk=st.binary(min_size=1, max_size=9),
        end=st.none() | st.integers(1, len(whole)),
    )
    def damage(start, junk, end):
        data = bytearray(whole)
        data[start : start + len(junk)] = junk
        info.path.write_bytes(data[:end])
        tags, warnings = read_tags(info)
        assert len(warnings) < 10
        assert all(len(value) <= LONGEST_TEXT for values in tags.texts.values() for value in values)

    damage()


#: The starts of all containers that are read.
STARTS = (
    *(b"ID3\4\0\0\0\0\1\0", b"ID3\3\0\xc0\0\0\1\0", b"ID3\2\0\0\0\0\1\0"),
    *(b"RIFF\0\0\0\0WAVE", b"RF64\0\0\0\0WAVEds64", b"FORM\0\0\0\0AIFF"),
    *(b"fLaC\4\0\0\x40", b"OggS\0\2", b"\0\0\0\x08ftyp", b""),
)


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=300), start=st.sampled_from(STARTS))
def test_any_bytes_never_raise(tmp_path_factory, data, start):
    path = Path(tmp_path_factory.getbasetemp()) / "any"
    path.write_bytes(start + data)
    form = {"sample_rate": 1, "channels": 1, "stored_channels": 1, "duration": None, "codec": ""}
    read_tags(StreamInfo(path=path, **form))


def test_damaged_tags_are_reported(tmp_path, songs):
    data = bytearray(songs["flac"].read_bytes())
    place = data.index(b"An album") - 6 - 4
    data[place : place + 4] = b"\xff\xff\xff\x7f"  # a comment of 2 GiB
    path = tmp_path / "a.flac"
    path.write_bytes(data)
    tags, warnings = read_tags(probe(path))
    assert "its tags are damaged" in warnings[0]
    assert tags.texts["title"] == TEXTS["title"]  # what came before


def test_the_stem_is_added_to_a_title_that_exists():
    assert Tags(texts={"artist": ("a",)}).of_stem("bass").texts == {"artist": ("a",)}
    assert Tags(texts={"title": ("a", "b")}).of_stem("bass").texts == {"title": ("a (bass)",)}


def test_texts_are_cleaned():
    assert clean(" a\0b\r\nc\x1b[31m\ud800 ") == "a b\nc [31m?"
    assert [pair(text) for text in ("3", "3/12", " 3 / 12 ", "/12", "", "x", "3/x", "123456")] == [
        (3, 0), (3, 12), (3, 12), (0, 12), None, None, None, None,
    ]  # fmt: skip


def test_the_table_of_genres_is_id3_s():
    assert list(fields.GENRES) == GENRES[: len(fields.GENRES)]
    assert len(fields.GENRES) == 126


def test_rf64_has_tags_and_place_as_well(tmp_path, monkeypatch):
    monkeypatch.setattr(pcm, "MOST_DATA", 1000)
    tags = Tags(texts=TEXTS, picture=Picture(mime="image/png", data=COVER), broadcast=BROADCAST)
    path = write_stem(tmp_path, tags, "wav", depth="24", frames=20_001)
    data = path.read_bytes()
    assert data[:4] == b"RF64"
    assert struct.unpack_from("<Q", data, 20)[0] == len(data) - 8
    assert tags_of(path) == tags.of_stem("vocals")
    assert soundfile.info(path).frames == 20_001
    assert read(path).shape == (2, 20_001)


def test_a_cover_as_large_as_can_be_takes_no_time(tmp_path):
    """In Ogg it comes in 80,000 segments; what copies all for each of them takes minutes."""
    data = b"\xff\xd8\xff" + bytes(15_000_000)
    tags = Tags(picture=Picture(mime="image/jpeg", data=data))
    start = time.monotonic()
    assert tags_of(write_stem(tmp_path, tags, "opus", rate=48000)).picture == tags.picture
    assert time.monotonic() - start < 20
