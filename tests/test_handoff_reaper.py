"""Reaper projects: their grammar and their content."""

import io
import re
from dataclasses import replace
from fractions import Fraction

import pytest
from handoff import STEMS, install, session_in
from hypothesis import given
from hypothesis import strategies as st

from stemsplit.errors import OutputError
from stemsplit.handoff import reaper
from stemsplit.handoff.session import Track, decimal

TOKEN = re.compile(r"""\s+(?:"([^"]*)"|'([^']*)'|`([^`]*)`|(\S+))""")


def write(session, target):
    """Return the text of the project, and the warnings."""
    file = io.BytesIO()
    warnings = reaper.write(session, target, file)
    return file.getvalue().decode(), warnings


def text_of(session, target):
    return write(session, target)[0]


def tokens(line):
    found = list(TOKEN.finditer(f" {line}"))
    assert "".join(match[0] for match in found) == f" {line}", line
    return [next(group for group in match.groups() if group is not None) for match in found]


def parse(text):
    """Return the one block of ``text``: its words, then lines (lists of words) and blocks."""
    assert text.endswith(">\n")
    assert "\n\n" not in text
    root = []
    open_blocks = [root]
    for line in text[:-1].split("\n"):
        words = tokens(line.strip())
        if words == [">"]:
            open_blocks.pop()
        elif words[0].startswith("<"):
            block = [[words[0][1:], *words[1:]]]
            open_blocks[-1].append(block)
            open_blocks.append(block)
        else:
            open_blocks[-1].append(words)
    assert len(open_blocks) == 1
    assert len(root) == 1
    return root[0]


def blocks(block, name):
    return [inner for inner in block[1:] if isinstance(inner[0], list) and inner[0][0] == name]


def values(block):
    return {line[0]: line[1:] for line in block[1:] if not isinstance(line[0], list)}


def read(session, target):
    """Return the settings of the project and, of each track, those of track, item and source."""
    project = parse(text_of(session, target))
    assert project[0][0] == "REAPER_PROJECT"
    tracks = []
    for track in blocks(project, "TRACK"):
        (item,) = blocks(track, "ITEM")
        (source,) = blocks(item, "SOURCE")
        tracks.append((values(track), values(item), source[0][1], values(source)))
    return values(project), tracks


def test_a_track_for_each_stem_after_the_muted_song(tmp_path):
    session = session_in(tmp_path / "out" / "song", frames=100_003, texts={"bpm": ("127.5",)})
    project, tracks = read(session, tmp_path / "out" / "song" / "song.rpp")
    assert project["SAMPLERATE"] == ["44100", "1", "0"]
    assert project["TEMPO"] == ["127.5", "4", "4"]
    assert project["TIMELOCKMODE"] == ["0"]
    song, *stems = tracks
    assert song[0]["NAME"] == ["song"]
    assert song[0]["MUTESOLO"] == ["1", "0", "0"]
    assert song[2:] == ("MP3", {"FILE": ["../music/song.mp3"]})
    assert [track["NAME"] for track, *_ in stems] == [["Drums"], ["Bass"], ["Other"], ["Vocals"]]
    # The numbers that the reference gives for these four colours.
    colours = ["24354304", "16801493", "27752908", "32093270"]
    assert [track["PEAKCOL"] for track, *_ in stems] == [[colour] for colour in colours]
    for stem, (track, item, source, file) in zip(STEMS, stems, strict=True):
        assert track["MUTESOLO"] == ["0", "0", "0"]
        assert track["VOLPAN"][:2] == ["1", "0"]
        assert item["POSITION"] == ["0"]
        assert item["SOFFS"] == ["0"]
        assert item["LOOP"] == ["0"]
        assert item["FADEIN"] == item["FADEOUT"] == ["1", "0", "0"]
        assert round(Fraction(item["LENGTH"][0]) * 44100) == 100_003
        assert source == "WAVE"
        assert file == {"FILE": [f"{stem}.wav"]}
        assert (tmp_path / "out" / "song" / file["FILE"][0]).is_file()
    assert len({track["TRACKID"][0] for track, *_ in tracks}) == 5


def test_the_same_session_gives_the_same_bytes(tmp_path):
    session = session_in(tmp_path / "s")
    assert text_of(session, tmp_path / "s/a.rpp") == text_of(session, tmp_path / "s/a.rpp")
    assert text_of(session, tmp_path / "s/a.rpp").startswith('<REAPER_PROJECT 0.1 "7.0" 0\n')


def test_an_excerpt_starts_inside_the_song(tmp_path):
    session = session_in(tmp_path / "s", frames=500, first_frame=66_150)
    _, tracks = read(session, tmp_path / "s" / "x.rpp")
    assert [item["SOFFS"] for _, item, *_ in tracks] == [["1.5"], *[["0"]] * 4]
    assert len({item["LENGTH"][0] for _, item, *_ in tracks}) == 1


@pytest.mark.parametrize(
    ("name", "codec", "source"),
    [
        ("a.wav", "pcm_s24le", "WAVE"),
        ("a.AIF", "pcm_s16be", "WAVE"),
        ("a.w64", "pcm_f32le", "WAVE"),
        ("a.flac", "flac", "FLAC"),
        ("a.ogg", "vorbis", "VORBIS"),
        ("a.oga", "vorbis", "VORBIS"),
        ("a.opus", "opus", "OPUS"),
        ("a.wv", "wavpack", "WAVPACK"),
        ("a.m4a", "aac", "VIDEO"),
        ("a.m4a", "alac", "VIDEO"),
        ("a.mp4", "aac", "VIDEO"),
        ("a.MOV", "pcm_s16be", "VIDEO"),
        ("a.wma", "wmav2", "VIDEO"),
        ("a.mkv", "flac", "VIDEO"),
        ("a 'b' \"c\".mp3", "mp3", "MP3"),
    ],
)
def test_the_song_is_there_where_reaper_can_read_it(tmp_path, name, codec, source):
    session = session_in(tmp_path / "s", song=tmp_path / name, codec=codec)
    _, tracks = read(session, tmp_path / "s" / "x.rpp")
    assert len(tracks) == 5
    assert tracks[0][0]["MUTESOLO"] == ["1", "0", "0"]
    assert tracks[0][2:] == (source, {"FILE": [f"../{name}"]})
    assert write(session, tmp_path / "s" / "x.rpp")[1] == []


@pytest.mark.parametrize(
    ("name", "codec", "reason"),
    [
        ("a.ogg", "opus", "Reaper may not be able to read opus in .ogg"),
        ("a.wav", "adpcm_ms", "Reaper may not be able to read adpcm_ms in .wav"),
        ("a.ape", "ape", "Reaper may not be able to read .ape"),
        ("a", "mp3", "Reaper may not be able to read files without an extension"),
        # No quotes are left to put around the first; the second is not text.
        ("a 'b' \"c\" `d`.mp3", "mp3", "its path has characters that no Reaper project can hold"),
        ("a\udcff.mp3", "mp3", "its path has characters that no Reaper project can hold"),
        ("a\nb.mp3", "mp3", "its path has characters that no Reaper project can hold"),
    ],
)
def test_a_song_that_reaper_may_not_read_is_left_out_with_the_reason(tmp_path, name, codec, reason):
    session = session_in(tmp_path / "s", song=tmp_path / name, codec=codec)
    text, warnings = write(session, tmp_path / "s" / "x.rpp")
    assert len(blocks(parse(text), "TRACK")) == 4
    assert warnings == [f"the Reaper project lacks the song itself: {reason}"]


def test_a_song_that_is_not_kept_has_no_track(tmp_path):
    session = replace(session_in(tmp_path / "s"), song=None)
    text, (warning,) = write(session, tmp_path / "s" / "x.rpp")
    assert len(blocks(parse(text), "TRACK")) == 4
    assert warning.endswith("it came from a stream, not a file")


def test_another_audio_stream_of_a_video_is_not_what_reaper_plays(tmp_path):
    session = session_in(tmp_path / "s", song=tmp_path / "film.mkv", codec="aac")
    second = replace(session, song=replace(session.song, stream=1))
    text, (warning,) = write(second, tmp_path / "s" / "x.rpp")
    assert len(blocks(parse(text), "TRACK")) == 4
    assert "the first audio stream" in warning


@pytest.mark.parametrize(
    ("format", "source"),
    [("aiff", "WAVE"), ("flac", "FLAC"), ("mp3", "MP3"), ("ogg", "VORBIS"), ("opus", "OPUS")],
)
def test_each_format_has_its_reader(tmp_path, format, source):
    session = session_in(tmp_path / "s", format=format)
    _, tracks = read(session, tmp_path / "s" / "x.rpp")
    assert {found for _, _, found, _ in tracks[1:]} == {source}


@pytest.mark.parametrize("name", ['say "hi"', "it's", "<b>", "a > b", "Ä 歌 🎸", ">", "<", "-", ""])
def test_names_that_look_like_grammar(tmp_path, name):
    session = session_in(tmp_path / "s")
    session = replace(session, name=name)
    path = tmp_path / "s" / f"{name} x.wav"
    tracks = (Track(stem=name or "a", path=path, content=path), *session.tracks)
    _, found = read(replace(session, tracks=tracks), tmp_path / "s" / "x.rpp")
    assert found[0][0]["NAME"] == [name]
    assert found[1][3] == {"FILE": [f"{name} x.wav"]}


def test_a_stem_that_cannot_be_named_is_refused(tmp_path):
    session = session_in(tmp_path / "s")
    path = tmp_path / "s" / "\"'`.wav"
    tracks = (Track(stem="drums", path=path, content=path),)
    with pytest.raises(OutputError, match="Reaper projects cannot store"):
        text_of(replace(session, tracks=tracks), tmp_path / "s" / "x.rpp")


@pytest.mark.parametrize(
    ("tag", "tempo"),
    [
        ("128", 128),
        ("127,98", 127.98),
        (" 90 BPM ", 90),
        ("174.00", 174),
        ("0", None),
        ("1000", None),
        ("999", None),
        ("fast", None),
        ("120-130", None),
        ("nan", None),
    ],
)
def test_tempo_of_tags(tmp_path, tag, tempo):
    session = session_in(tmp_path / "s", texts={"bpm": (tag,)})
    assert session.tempo == tempo
    assert ("TEMPO" in read(session, tmp_path / "s" / "x.rpp")[0]) == (tempo is not None)


@given(frames=st.integers(1, 192_000 * 86_400), rate=st.sampled_from([8000, 44100, 48000, 192000]))
def test_lengths_are_precise_to_a_frame(frames, rate):
    written = decimal(frames / rate)
    assert re.fullmatch(r"\d+(\.\d+)?", written)
    assert abs(Fraction(written) * rate - frames) < Fraction(1, 10_000)


@pytest.mark.network
def test_another_parser_reads_it(tmp_path, monkeypatch):
    install(tmp_path / "packages", "rpp==0.5")
    monkeypatch.syspath_prepend(tmp_path / "packages")
    import rpp  # type: ignore[import-not-found]

    session = session_in(tmp_path / "s", texts={"bpm": ("128",)})
    text = text_of(replace(session, name='it\'s "<x>"'), tmp_path / "s" / "x.rpp")
    project = rpp.loads(text)
    tracks = project.findall("TRACK")
    assert [track.find("NAME")[1] for track in tracks] == [
        'it\'s "<x>"',
        *("Drums", "Bass", "Other", "Vocals"),
    ]
    assert [track.find("ITEM/SOURCE/FILE")[1] for track in tracks[1:]] == [
        f"{stem}.wav" for stem in STEMS
    ]
    assert rpp.loads(rpp.dumps(project)) == project
