"""Native Instruments' stem files: boxes, streams, and what other programs make of them."""

import json
import os
import re
import shutil
import struct
import subprocess
import sys

import mutagen.mp4
import numpy as np
import pytest
from audio_files import decibel, lag, noise, run_ffmpeg
from handoff import STEMS, install
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tagged_files import COVER, png

from stemsplit.audio.decode import decode
from stemsplit.audio.encode import StemWriter
from stemsplit.audio.encoders import stem_mp4
from stemsplit.audio.encoders.mp4 import complete
from stemsplit.audio.ffmpeg import find_ffmpeg
from stemsplit.audio.mp4 import box, boxes, find
from stemsplit.audio.probe import probe
from stemsplit.audio.tags import mp4 as atoms
from stemsplit.audio.tags.model import Picture, Tags
from stemsplit.audio.tags.reading import read_tags
from stemsplit.errors import OutputError, StemsplitError
from stemsplit.options import EncodingOptions

STREAMS = ("mix", *STEMS)


def write(folder, songs, rate=44100, *, block=10_000, tags=None, **options):
    """Write ``songs`` (2, n) as the streams of one file; return its path."""
    path = folder / "song.stem.mp4"
    sound = np.concatenate(songs)
    writer = StemWriter(
        {"stems": path},
        options=EncodingOptions(format="stem.mp4", **options),
        sample_rate=rate,
        channels=len(sound),
        frames=sound.shape[1],
        streams=STREAMS,
        tags=tags,
    )
    with writer:
        for start in range(0, sound.shape[1], block):
            writer.write({"stems": sound[:, start : start + block]})
        writer.commit()
    return path


def five(frames):
    return [noise(frames, seed=seed) for seed in range(5)]


def read(path, stream):
    """What ffmpeg makes of one audio stream."""
    words = ("-map", f"0:a:{stream}", "-f", "f32le", "pipe:1")
    data = run_ffmpeg("-i", f"file:{path}", *words)
    return np.frombuffer(data, "<f4").reshape(-1, 2).T


def tables(data):
    """Yield the offsets of each stco and co64 of ``data``."""
    start, end = find(data, b"moov")
    for name, first, last in boxes(data, start, end):
        if name == b"trak":
            table = find(data, b"mdia", b"minf", b"stbl", start=first, end=last)
            for kind, place, _ in boxes(data, *table):
                if kind in (b"stco", b"co64"):
                    count = int.from_bytes(data[place + 4 : place + 8], "big")
                    form = f">{count}{'I' if kind == b'stco' else 'Q'}"
                    yield struct.unpack_from(form, data, place + 8)


@pytest.mark.parametrize("codec", [None, "alac"])
@pytest.mark.parametrize("rate", [44100, 48000])
def test_five_streams_as_long_as_the_song_and_in_step_with_it(tmp_path, rate, codec):
    songs = five(100_003)
    path = write(tmp_path, songs, rate, codec=codec)
    assert probe(path).sample_rate == rate
    for stream, song in enumerate(songs):
        found = read(path, stream)
        assert found.shape == song.shape
        assert lag(song, found) == 0
        if codec == "alac":
            assert np.abs(found - song).max() <= 2**-24
        else:
            assert decibel(song, found) > 18
    assert np.array_equal(read(path, 0), np.concatenate(list(decode(probe(path))), 1))


@settings(max_examples=12, deadline=None)
@given(
    frames=st.integers(1, 9000),
    rate=st.sampled_from([8000, 44100, 48000, 96000]),
    codec=st.sampled_from(["aac", "alac"]),
)
@example(frames=1, rate=44100, codec="aac")
@example(frames=1, rate=96000, codec="aac")
@example(frames=1024, rate=48000, codec="aac")
@example(frames=1025, rate=22050, codec="aac")
def test_every_length_at_every_rate(tmp_path_factory, frames, rate, codec):
    stored = {8000: 44100, 22050: 44100, 96000: 48000}.get(rate, rate)
    length = max(1, round(frames * stored / rate))
    folder = tmp_path_factory.mktemp("len")
    if codec == "aac" and length < 513:
        with pytest.raises(OutputError, match=r"too short for stem\.mp4"):
            write(folder, five(frames), rate, codec=codec)
        return
    path = write(folder, five(frames), rate, codec=codec)
    assert {read(path, stream).shape for stream in range(5)} == {(2, length)}
    assert probe(path).sample_rate == stored


def test_alac_has_the_requested_depth(tmp_path):
    path = write(tmp_path, five(5000), codec="alac", depth="16", dither=False)
    found = read(path, 2)
    assert np.array_equal(np.rint(found * 2**15), found * 2**15)
    assert np.abs(found - five(5000)[2]).max() <= 2**-16


def test_the_order_of_the_boxes_and_their_contents(tmp_path):
    path = write(tmp_path, five(30_000))
    data = path.read_bytes()
    assert [name for name, *_ in boxes(data)] == [b"ftyp", b"moov", b"free", b"mdat"]
    assert data[8:12] == b"M4A "
    header = find(data, b"moov", b"mvhd")[0]
    assert struct.unpack_from(">II", data, header + 12) == (44100, 30_000)
    places = [(start, end) for name, start, end in boxes(data, *find(data, b"moov"))]
    names = [name for name, *_ in boxes(data, *find(data, b"moov"))]
    assert names == [b"mvhd", *[b"trak"] * 5, b"udta"]
    for number, (start, end) in enumerate(places[1:6]):
        place = find(data, b"tkhd", start=start, end=end)[0]
        # Enabled is bit 0: players that know nothing of stems play the mix alone.
        assert int.from_bytes(data[place : place + 4], "big") == (2 if number else 3)
        assert int.from_bytes(data[place + 20 : place + 24], "big") == 30_000
        assert data[place + 34 : place + 36] == bytes(2)  # no alternative to another
        place = find(data, b"edts", b"elst", start=start, end=end)[0]
        assert struct.unpack_from(">IIiI", data, place + 4) == (1, 30_000, 1024 + 720, 0x10000)
        place, last = find(data, b"mdia", b"hdlr", start=start, end=end)
        shown = ("Mix", "Drums", "Bass", "Other", "Vocals")[number]
        assert data[place + 24 : last].rstrip(b"\0") == shown.encode()


def test_the_box_that_describes_the_stems(tmp_path):
    data = write(tmp_path, five(3000)).read_bytes()
    inside = [name for name, *_ in boxes(data, *find(data, b"moov", b"udta"))]
    assert inside == [b"meta", b"stem"]
    start, end = find(data, b"moov", b"udta", b"stem")
    content = json.loads(data[start:end])
    assert content["version"] == 1
    assert content["stems"] == [
        {"name": "Drums", "color": "#009E73"},
        {"name": "Bass", "color": "#D55E00"},
        {"name": "Other", "color": "#CC79A7"},
        {"name": "Vocals", "color": "#56B4E9"},
    ]
    mastering = content["mastering_dsp"]
    assert mastering["compressor"]["enabled"] is mastering["limiter"]["enabled"] is False
    assert set(mastering["compressor"]) == {
        *("enabled", "ratio", "input_gain", "output_gain", "threshold"),
        *("attack", "release", "hp_cutoff", "dry_wet"),
    }
    assert set(mastering["limiter"]) == {"enabled", "threshold", "ceiling", "release"}


def test_stems_with_other_names_have_distinct_colours():
    listed = json.loads(stem_mp4.description(("kick", "no_vocals", "vocals", "Ä")))["stems"]
    assert [stem["name"] for stem in listed] == ["Kick", "No vocals", "Vocals", "Ä"]
    assert len({stem["color"] for stem in listed}) == 4
    assert all(re.fullmatch("#[0-9A-F]{6}", stem["color"]) for stem in listed)


def test_all_tables_lead_into_the_sound(tmp_path):
    data = write(tmp_path, five(200_000), tags=Tags(picture=Picture.of(COVER))).read_bytes()
    start, end = find(data, b"mdat")
    offsets = list(tables(data))
    assert len(offsets) == 5
    assert all(start <= offset < end for table in offsets for offset in table)
    assert min(map(min, offsets)) == start


def test_moving_the_tables_changes_no_sound(tmp_path):
    """What ffmpeg wrote, and the same with the boxes of a stem file: the same samples."""
    path = tmp_path / "plain.mp4"
    words = ("-f", "f32le", "-ar", "44100", "-ac", "2", "-i", "pipe:0")
    song = noise(90_000)
    maps = [word for _ in range(5) for word in ("-map", "0:a")]
    coder = ("-c:a", "aac", "-b:a", "128k", "-f", "ipod")
    run_ffmpeg(*words, *maps, *coder, f"file:{path}", data=song.T.tobytes())
    before = [read(path, stream)[:, :90_000] for stream in (0, 4)]
    described = atoms.written(Tags(picture=Picture.of(png(300)))) + box(b"stem", b"{}" * 50)
    complete(path, frames=90_000, silence=0, sample_rate=44100, tags=described)
    stem_mp4.move_to_front(path)
    for stream, samples in zip((0, 4), before, strict=True):
        assert np.array_equal(read(path, stream)[:, :90_000], samples)


def movie_of(kind, offsets):
    size = "I" if kind == b"stco" else "Q"
    table = struct.pack(f">II{len(offsets)}{size}", 0, len(offsets), *offsets)
    table = box(b"stbl", box(b"stsz", b"x" * 9), box(kind, table))
    header = box(b"tkhd", bytes(84))
    return box(b"moov", box(b"trak", header, box(b"mdia", box(b"minf", table))))


@pytest.mark.parametrize(
    ("kind", "offset", "shift"),
    [(b"stco", 1000, True), (b"stco", 2**32 - 10, False), (b"co64", 2**40, True)],
)
def test_offsets_that_a_table_cannot_count_leave_the_movie_last(tmp_path, kind, offset, shift):
    path = tmp_path / "a.mp4"
    movie = movie_of(kind, (40, offset))
    head, sound = box(b"ftyp", b"M4A "), box(b"mdat", b"s" * 50)
    path.write_bytes(head + sound + movie)
    stem_mp4.move_to_front(path)
    moved = len(movie) if shift else 0
    changed = movie_of(kind, (40 + moved, offset + moved))
    expected = head + changed + sound if shift else head + sound + movie
    assert path.read_bytes() == expected


def test_a_file_not_written_by_ffmpeg_is_refused(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(box(b"ftyp", b"M4A ") + box(b"mdat", b""))
    with pytest.raises(StemsplitError, match="wrote no movie box at the end"):
        complete(path, frames=1, silence=0, sample_rate=1, tags=b"")
    with pytest.raises(StemsplitError, match="wrote no movie box"):
        stem_mp4.move_to_front(path)


def test_tags_and_cover_are_those_of_the_song(tmp_path):
    texts = {
        "title": ("Song",),
        "artist": ("A", "B"),
        "bpm": ("127.5",),
        "key": ("8A",),
        "isrc": ("X1",),
    }
    path = write(tmp_path, five(3000), tags=Tags(texts=texts, picture=Picture.of(COVER)))
    found, warnings = read_tags(probe(path))
    assert found.texts == texts
    assert found.picture.data == COVER
    assert warnings == []
    other = mutagen.mp4.MP4(path)
    assert other["\xa9nam"] == ["Song"]
    assert other["tmpo"] == [128]
    assert bytes(other["covr"][0]) == COVER
    assert other["TAUT"] == [b"STEM"] or other["TAUT"] == ["STEM"]
    # All packets: 1024 frames that the encoder adds, 72 of silence, and the song.
    assert other.info.length == pytest.approx(4096 / 44100)


def test_the_box_survives_another_tagger(tmp_path):
    path = write(tmp_path, five(50_000))
    sound = [read(path, stream) for stream in range(5)]
    other = mutagen.mp4.MP4(path)
    other["\xa9nam"] = ["x" * 40_000]
    other.save()
    data = path.read_bytes()
    start, end = find(data, b"moov", b"udta", b"stem")
    assert data[start:end] == stem_mp4.description(STEMS)
    for stream in range(5):
        assert np.array_equal(read(path, stream), sound[stream])


def test_the_same_streams_give_the_same_bytes(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
    first = write(tmp_path / "a", five(30_000)).read_bytes()
    assert write(tmp_path / "b", five(30_000), block=777).read_bytes() == first


def test_one_gain_for_all_streams(tmp_path):
    songs = five(20_000)
    songs[0] *= 4 / np.abs(songs[0]).max()
    path = write(tmp_path, songs, codec="alac", clip="linked")
    for stream, song in enumerate(songs):
        assert np.abs(read(path, stream) - song / 4).max() < 2**-19


def test_ffmpeg_sees_five_streams_and_plays_the_first(tmp_path):
    path = write(tmp_path, five(30_000))
    words = [find_ffmpeg(), "-hide_banner", "-i", f"file:{path}"]
    report = subprocess.run(words, capture_output=True, text=True, check=False).stderr
    streams = re.findall(r"Stream #0:\d.*Audio: (\w+).*?, (\d+) Hz, (\w+),.*", report)
    assert streams == [("aac", "44100", "stereo")] * 5
    assert report.count("(default)") == 1
    assert re.search(r"Stream #0:0.*\(default\)", report)
    assert re.findall(r"handler_name\s*: (\w+)", report) == [
        *("Mix", "Drums", "Bass", "Other", "Vocals")
    ]


@pytest.mark.network
@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="stempeg reads with ffprobe")
def test_stempeg_reads_it(tmp_path):
    """In a separate process: it looks for its programs when it is imported."""
    packages = tmp_path / "packages"
    install(packages, "stempeg==0.2.6", deep=False)
    (packages / "ffmpeg-bin").mkdir()
    (packages / "ffmpeg-bin" / "ffmpeg").symlink_to(find_ffmpeg())
    path = write(tmp_path, five(100_003))
    code = "import stempeg, sys; x, rate = stempeg.read_stems(sys.argv[1]); print(x.shape, rate)"
    search = os.pathsep.join([str(packages / "ffmpeg-bin"), os.environ["PATH"]])
    printed = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, path],
        env=os.environ | {"PATH": search, "PYTHONPATH": str(packages)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert printed == "(5, 100003, 2) 44100\n"
