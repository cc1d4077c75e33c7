"""Stem files and projects of DAWs, as a person asks for them."""

import json
from fractions import Fraction
from xml.etree import ElementTree
from zipfile import ZipFile

import numpy as np
import pytest
import soundfile
from audio_files import lag, run_ffmpeg, store
from command import TINY, files_below, run
from handoff import STEMS
from test_handoff_dawproject import faults
from test_handoff_reaper import blocks, parse, values

from stemsplit import Separator
from stemsplit.audio.mp4 import find
from stemsplit.errors import UsageError

STEM_FILE = ("-n", TINY, "--format", "stem.mp4")


def stream_of(path, stream):
    data = run_ffmpeg(
        "-i", f"file:{path}", "-map", f"0:a:{stream}", "-f", "f32le", "-ac", "2", "pipe:1"
    )
    return np.frombuffer(data, "<f4").reshape(-1, 2).T


def test_a_stem_file_is_named_after_the_song(song, mixture, tmp_path):
    result = run(song, *STEM_FILE, cwd=tmp_path)
    assert result.code == 0
    assert result.lines == ["separated/song.stem.mp4"]
    assert files_below(tmp_path / "separated") == ["song.stem.mp4"]
    assert (tmp_path / "separated" / ".song.stemsplit.json").is_file()
    path = tmp_path / "separated" / "song.stem.mp4"
    streams = [stream_of(path, stream) for stream in range(5)]
    assert {stream.shape for stream in streams} == {mixture.shape}
    assert lag(mixture, streams[0]) == 0
    again = run(song, *STEM_FILE, "--json", cwd=tmp_path)
    (record,) = again.records
    assert record["status"] == "skipped"
    assert record["stems"] == [{"name": "stems", "path": "separated/song.stem.mp4"}]
    assert run(song, *STEM_FILE, "--codec", "alac", cwd=tmp_path).code == 3


def test_the_streams_are_the_stems(song, tmp_path):
    assert run(song, "-n", TINY, cwd=tmp_path).code == 0
    result = run(song, *STEM_FILE, "--codec", "alac", "--clip", "linked", cwd=tmp_path)
    assert result.code == 0
    path = tmp_path / "separated" / "song.stem.mp4"
    truth = [soundfile.read(song, dtype="float32")[0].T]
    folder = tmp_path / "separated" / "song"
    truth += [soundfile.read(folder / f"{stem}.wav", dtype="float32")[0].T for stem in STEMS]
    peak = max(1, *(np.abs(samples).max() for samples in truth))
    for stream, samples in enumerate(truth):
        assert np.abs(stream_of(path, stream) - samples / peak).max() < 2**-19


def test_a_mono_song_gives_stereo_streams(mixture, tmp_path):
    soundfile.write(tmp_path / "mono.wav", mixture[0], 44100)
    result = run("mono.wav", *STEM_FILE, "--codec", "alac", "--json", cwd=tmp_path)
    assert result.records[0]["channels"] == 2
    sound = stream_of(tmp_path / "separated" / "mono.stem.mp4", 4)
    assert np.array_equal(sound[0], sound[1])
    assert sound.any()


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (("--two-stems", "vocals"), "a stem.mp4 has 4 stems, not 2 (vocals, no_vocals)", "--mix"),
        (("--mix", "a=drums+bass"), "a stem.mp4 has 4 stems, not 5", "--stems none"),
        (("--stems", "drums,bass,other", "--mix", "mix=vocals"), "two outputs are called mix", ""),
        (("--depth", "24"), "stem.mp4 has no bit depth", "--bitrate"),
        (("--codec", "alac", "--bitrate", "128"), "stem.mp4 has no bit rate", "--depth"),
        (("--format", "wav", "--codec", "aac"), "wav has no choice of codecs", "stem.mp4"),
    ],
)
def test_selections_that_a_stem_file_cannot_contain(song, tmp_path, arguments, message, hint):
    result = run(song, *STEM_FILE, *arguments, cwd=tmp_path)
    assert result.code == 2
    assert message in result.stderr
    assert hint in result.stderr
    assert not (tmp_path / "separated").exists()


def test_four_mixes_make_a_stem_file(song, tmp_path):
    mixes = ("beat=drums+bass", "voice=vocals", "rest=other", "less=mix-vocals")
    options = [word for mix in mixes for word in ("--mix", mix)]
    result = run(song, *STEM_FILE, "--stems", "none", *options, cwd=tmp_path)
    assert result.code == 0, result.stderr
    data = (tmp_path / "separated" / "song.stem.mp4").read_bytes()
    start, end = find(data, b"moov", b"udta", b"stem")
    names = [stem["name"] for stem in json.loads(data[start:end])["stems"]]
    assert names == ["Beat", "Voice", "Rest", "Less"]


def test_alac_causes_a_warning(song, tmp_path):
    result = run(song, *STEM_FILE, "--codec", "alac", cwd=tmp_path)
    assert result.stderr.count("Traktor on Windows cannot read ALAC") == 1
    assert "ALAC" not in run(song, *STEM_FILE, "--force", cwd=tmp_path).stderr


def test_the_python_interface_writes_stem_files(song, tmp_path):
    separator = Separator(TINY)
    written = separator.separate_file(song, tmp_path / "out", format="stem.mp4", codec="alac")
    assert written == {"stems": tmp_path / "out" / "song.stem.mp4"}
    assert stream_of(written["stems"], 0).shape == stream_of(song, 0).shape
    with pytest.raises(UsageError, match="unknown codec 'mp3'"):
        separator.separate_file(song, tmp_path / "out", format="stem.mp4", codec="mp3")
    with pytest.raises(UsageError, match="has 4 stems, not 1"):
        Separator(TINY, stems=["vocals"]).separate_file(song, tmp_path, format="stem.mp4")


def tracks_of(path):
    """Name, file, length and offset (s) of the tracks of a Reaper project."""
    found = []
    for track in blocks(parse(path.read_text()), "TRACK"):
        (item,) = blocks(track, "ITEM")
        (source,) = blocks(item, "SOURCE")
        (name,) = values(track)["NAME"]
        times = (Fraction(values(item)[key][0]) for key in ("LENGTH", "SOFFS"))
        found.append((name, values(source)["FILE"][0], *times))
    return found


def test_projects_beside_the_stems(song, tmp_path):
    tagged = tmp_path / "music" / "tagged.flac"
    words = ("-c:a", "flac", "-metadata", "bpm=96", "-metadata", "title=T")
    store(tagged, soundfile.read(song, dtype="float32")[0].T, 44100, *words)
    result = run(tagged, "-n", TINY, "--daw", "reaper,dawproject", cwd=tmp_path)
    assert result.code == 0
    folder = tmp_path / "separated" / "tagged"
    names = [*(f"{stem}.wav" for stem in STEMS), "tagged.rpp", "tagged.dawproject"]
    assert result.lines == [f"separated/tagged/{name}" for name in names]
    assert files_below(folder) == sorted(names)
    tracks = tracks_of(folder / "tagged.rpp")
    assert [name for name, *_ in tracks] == ["tagged", "Drums", "Bass", "Other", "Vocals"]
    frames = soundfile.info(song).frames
    for _, file, length, start in tracks:
        assert soundfile.info(folder / file).frames == frames == round(length * 44100)
        assert start == 0
    assert "TEMPO 96 4 4" in (folder / "tagged.rpp").read_text()
    with ZipFile(folder / "tagged.dawproject") as archive:
        project = ElementTree.fromstring(archive.read("project.xml"))
        assert faults(project) == faults(ElementTree.fromstring(archive.read("metadata.xml"))) == []
        assert project.find("Transport/Tempo").get("value") == "96"
        for stem, file in zip(STEMS, project.iter("File"), strict=True):
            assert archive.read(file.get("path")) == (folder / f"{stem}.wav").read_bytes()
    manifest = json.loads((folder / ".stemsplit.json").read_text())
    assert set(manifest["outputs"]) == set(names)


@pytest.mark.parametrize(
    ("name", "words", "source"),
    [
        ("a.m4a", ("-c:a", "aac"), "VIDEO"),
        ("a.mov", ("-c:a", "pcm_s16le"), "VIDEO"),
        ("a.wv", ("-c:a", "wavpack"), "WAVPACK"),
        ("a.oga", ("-c:a", "libvorbis"), "VORBIS"),
    ],
)
def test_a_reaper_project_has_the_song_in_its_own_format(song, tmp_path, name, words, source):
    stored = tmp_path / "music" / name
    store(stored, soundfile.read(song, dtype="float32")[0].T, 44100, *words)
    result = run(stored, "-n", TINY, "--daw", "reaper", cwd=tmp_path)
    assert (result.code, "warning" in result.stderr) == (0, False)
    project = tmp_path / "separated/a/a.rpp"
    assert tracks_of(project)[0][:2] == ("a", f"../../music/{name}")
    assert project.read_text().count(f"<SOURCE {source}\n") == 1


def test_a_reaper_project_without_the_song_says_why(song, tmp_path):
    stored = tmp_path / "music" / "a.au"
    store(stored, soundfile.read(song, dtype="float32")[0].T, 44100, "-c:a", "pcm_s16be")
    result = run(stored, "-n", TINY, "--daw", "reaper", cwd=tmp_path)
    reason = "the Reaper project lacks the song itself: Reaper may not be able to read .au"
    assert f"stemsplit: warning: {stored}: {reason}\n" in result.stderr
    assert len(tracks_of(tmp_path / "separated/a/a.rpp")) == 4
    result = run("-", "-n", TINY, "--daw", "reaper", cwd=tmp_path, stdin=song.read_bytes())
    assert result.code == 0
    assert "it came from a stream, not a file" in result.stderr


def test_a_second_run_makes_only_what_is_missing(song, tmp_path):
    assert run(song, "-n", TINY, cwd=tmp_path).code == 0
    folder = tmp_path / "separated" / "song"
    before = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.wav")}
    daw = ("-n", TINY, "--daw", "dawproject,reaper")
    (foretold,) = run(song, *daw, "--dry-run", "--json", cwd=tmp_path).records
    upper = [word.upper() if "," in word else word for word in daw]
    assert run(song, *upper, "--dry-run", "--json", cwd=tmp_path).records == [foretold]
    assert foretold["stems"] == []
    assert [project["name"] for project in foretold["projects"]] == ["dawproject", "reaper"]
    result = run(song, *daw, cwd=tmp_path)
    assert result.code == 0
    assert result.lines == ["separated/song/song.dawproject", "separated/song/song.rpp"]
    assert {path.name: path.stat().st_mtime_ns for path in folder.glob("*.wav")} == before
    assert len(tracks_of(folder / "song.rpp")) == 5
    assert "its tags contain no tempo; the project uses 120 BPM" in result.stderr
    first = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert run(song, *daw, "--json", cwd=tmp_path).records[0]["status"] == "skipped"
    (folder / "drums.wav").unlink()
    (folder / "song.rpp").write_text("of somebody else")
    (record,) = run(song, *daw, "--json", cwd=tmp_path).records
    assert [stem["name"] for stem in record["stems"]] == ["drums"]
    assert "projects" not in record
    assert (folder / "song.rpp").read_text() == "of somebody else"
    assert run(song, *daw, "--json", "--force", cwd=tmp_path).code == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == first


def test_an_existing_project_is_not_replaced(song, tmp_path):
    folder = tmp_path / "separated" / "song"
    folder.mkdir(parents=True)
    (folder / "song.rpp").write_text("mine")
    result = run(song, "-n", TINY, "--daw", "reaper", cwd=tmp_path)
    assert result.code == 0
    assert "warning: separated/song/song.rpp: already exists; keeping it" in result.stderr
    assert files_below(folder) == sorted([*(f"{stem}.wav" for stem in STEMS), "song.rpp"])
    assert (folder / "song.rpp").read_text() == "mine"
    assert run(song, "-n", TINY, "--daw", "reaper", "--force", cwd=tmp_path).code == 0
    assert len(tracks_of(folder / "song.rpp")) == 5


def test_a_project_for_each_song_of_a_folder_where_its_stems_share_one(song, tmp_path):
    (song.parent / "b.wav").write_bytes(song.read_bytes())
    options = ("--daw", "reaper", "--filename", "{stem}/{track}.{ext}", "--format", "mp3")
    assert run(song.parent, "-n", TINY, *options, cwd=tmp_path).code == 0
    for name in ("b", "song"):
        tracks = tracks_of(tmp_path / "separated" / f"{name}.rpp")
        assert tracks[0][1] == f"../music/{name}.wav"
        assert [file for _, file, *_ in tracks[1:]] == [f"{stem}/{name}.mp3" for stem in STEMS]
        assert all((tmp_path / "separated" / file).is_file() for _, file, *_ in tracks)


def test_lengths_are_those_of_stems_that_are_stored_at_another_rate(song, tmp_path):
    times = ("--start", "0.5", "--end", "1.25")
    options = ("--daw", "reaper", "--format", "opus", *times)
    assert run(song, "-n", TINY, *options, cwd=tmp_path).code == 0
    folder = tmp_path / "separated/song [0m00.5s-0m01.25s]"
    tracks = tracks_of(folder / "song [0m00.5s-0m01.25s].rpp")
    assert {(length, start) for _, _, length, start in tracks} == {
        (Fraction("0.75"), Fraction("0.5")),
        (Fraction("0.75"), 0),
    }
    text = (folder / "song [0m00.5s-0m01.25s].rpp").read_text()
    assert "SAMPLERATE 48000 1 0" in text
    assert text.count("<SOURCE OPUS") == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--daw", "reapr"), "unknown DAW 'reapr'"),
        (("--daw", "reaper", "--format", "m4a"), "reaper projects cannot use m4a stems"),
        (
            ("--daw", "dawproject", "--format", "stem.mp4"),
            "cannot use stem.mp4 stems",
        ),
        (("--daw", "reaper", "--mix", "reaper=drums"), "two outputs are called reaper"),
    ],
)
def test_what_no_project_is_made_of(song, tmp_path, arguments, message):
    result = run(song, "-n", TINY, *arguments, cwd=tmp_path)
    assert result.code == 2
    assert message in result.stderr
    assert not (tmp_path / "separated").exists()


def test_a_daw_in_the_settings_gives_way_to_another_format(song, tmp_path, monkeypatch):
    monkeypatch.setenv("STEMSPLIT_DAW", "dawproject,reaper")
    result = run(song, "-n", TINY, "--format", "mp3", cwd=tmp_path)
    assert result.code == 0
    assert result.lines[-1] == "separated/song/song.rpp"
    assert len(result.lines) == 5


def test_the_python_interface_writes_projects(song, tmp_path):
    separator = Separator(TINY)
    written = separator.separate_file(song, tmp_path / "out", daw=["dawproject"])
    assert list(written) == [*STEMS, "dawproject"]
    assert written["dawproject"] == tmp_path / "out" / "song" / "song.dawproject"
    assert ZipFile(written["dawproject"]).testzip() is None
    with pytest.raises(UsageError, match="daw must be a sequence of names"):
        separator.separate_file(song, tmp_path / "out", daw="reaper")
