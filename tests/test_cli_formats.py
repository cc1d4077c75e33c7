"""The options that say how stems are stored, as a person types them."""

from audio_files import noise, store
from command import TINY, files_below, run
from tagged_files import COVER, TEXTS, store_song, tags_in

from stemsplit import Separator
from stemsplit.audio.probe import probe


def test_stems_of_any_format_have_the_song_s_tags(tmp_path):
    store_song(tmp_path / "song.m4a")
    for format, extension in (("alac", "m4a"), ("opus", "opus"), ("aiff", "aiff")):
        result = run("song.m4a", "-n", TINY, "-o", format, "--format", format, cwd=tmp_path)
        assert result.code == 0, result.stderr
        assert result.lines[0] == f"{format}/song/drums.{extension}"
        texts, cover, rest = tags_in(tmp_path / result.lines[0])
        assert texts == {**TEXTS, "title": ("Größe (drums)",)}
        assert (cover, rest) == (COVER, set())
    assert (
        "opus does not support 44100 Hz; the stems have 48000 Hz"
        in run("song.m4a", "-n", TINY, "-o", "again", "--format", "opus", cwd=tmp_path).stderr
    )
    result = run("song.m4a", "-n", TINY, "-o", "bare", "--format", "mp3", "--no-tags", cwd=tmp_path)
    assert b"ID3" not in (tmp_path / result.lines[0]).read_bytes()


def test_what_a_format_cannot_do_is_wrong_usage(tmp_path):
    store(tmp_path / "song.wav", noise(9000), 44100)
    for words, reason in (
        (("--bitrate", "256"), "wav has no bit rate: it is lossless"),
        (("--format", "flac", "--quality", "5"), "flac has no quality"),
        (("--format", "mp3", "--bitrate", "256", "--quality", "0"), "are mutually exclusive"),
        (("--format", "m4a", "--depth", "24"), "m4a has no bit depth"),
        (("--format", "mp3", "--bitrate", "320000"), "invalid bit rate '320000'"),
        (("--format", "mp3", "--bitrate", "300k"), "mp3 has no bit rate of 300 kbit/s"),
        (("--format", "mp3", "--quality", "best"), "invalid quality 'best'"),
        (("--format", "mp3", "--quality", "V10"), "mp3 has no quality 10"),
        (("--format", "mp3", "--quality", "q8"), "q8 is a quality for ogg, not mp3"),
        (("--format", "ogg", "--quality", "V0"), "V0 is a quality for mp3, not ogg"),
        (("--format", "opus", "--quality", "V0"), "opus has no quality"),
        (("--depth", "16", "--clip", "none"), "16-bit wav cannot store samples above full scale"),
    ):
        result = run("song.wav", "-n", TINY, *words, cwd=tmp_path)
        assert result.code == 2
        assert f"stemsplit: error: {reason}" in result.stderr or reason in result.stderr
        assert "Traceback" not in result.stderr
    assert files_below(tmp_path) == ["song.wav"]


def test_bit_rates_and_qualities_as_people_write_them(tmp_path, monkeypatch):
    store(tmp_path / "song.wav", noise(9000), 44100)
    for format, pairs in {
        "mp3": (("--bitrate", "192"), ("--bitrate", "192k"), ("--bitrate", "192 kbps")),
        "ogg": (("--quality", "3"), ("--quality", "q3"), ("--quality", "Q3")),
    }.items():
        contents = set()
        for number, words in enumerate(pairs):
            place = ("-o", f"{format}{number}", "--format", format, "--stems", "bass")
            result = run("song.wav", "-n", TINY, *place, *words, cwd=tmp_path)
            assert result.code == 0, result.stderr
            contents.add((tmp_path / result.lines[0]).read_bytes())
        assert len(contents) == 1
    monkeypatch.setenv("STEMSPLIT_QUALITY", "V2")
    settled = run("song.wav", "-n", TINY, "-o", "v", "--format", "mp3", cwd=tmp_path)
    assert settled.code == 0, settled.stderr
    assert b"Xing" in (tmp_path / settled.lines[0]).read_bytes()[:2000]


def test_a_bit_rate_of_the_environment_is_for_the_formats_that_have_one(tmp_path, monkeypatch):
    store(tmp_path / "song.wav", noise(9000), 44100)
    monkeypatch.setenv("STEMSPLIT_BITRATE", "128")
    monkeypatch.setenv("STEMSPLIT_DEPTH", "16")
    for format in ("wav", "mp3"):
        words = ("-n", TINY, "--stems", "bass", "--format", format)
        result = run("song.wav", *words, cwd=tmp_path)
        assert result.code == 0, result.stderr
        codec = {"wav": "pcm_s16le", "mp3": "mp3"}[format]
        assert codec in probe(tmp_path / result.lines[0]).codec


def test_linked_stems_say_by_how_much_they_are_lower(tmp_path):
    store(tmp_path / "song.wav", noise(30_000, level=500), 44100, "-c:a", "pcm_f32le")
    words = ("-n", TINY, "--format", "flac")
    clamped = run("song.wav", *words, "-o", "a", cwd=tmp_path)
    assert "samples above full scale were clipped; --clip linked turns" in clamped.stderr
    linked = run("song.wav", *words, "-o", "b", "--clip", "linked", cwd=tmp_path)
    assert linked.code == 0
    assert " dB quieter, so that none of them clip" in linked.stderr
    assert "were clipped" not in linked.stderr
    lossy = run("song.wav", "-n", TINY, "--format", "ogg", "-o", "c", cwd=tmp_path)
    assert "samples above full scale will be clipped by most players" in lossy.stderr
    floats = run("song.wav", "-n", TINY, "-o", "d", cwd=tmp_path)
    assert "full scale" not in floats.stderr


def test_the_python_interface_has_the_same_options(tmp_path):
    store_song(tmp_path / "song.mp3")
    separator = Separator(TINY)
    options = {"format": "ogg", "quality": 2, "clip": "linked", "dither": False}
    found = separator.separate_file(tmp_path / "song.mp3", tmp_path / "out", **options)
    assert found["bass"].suffix == ".ogg"
    assert tags_in(found["bass"])[0]["title"] == ("Größe (bass)",)
    bare = separator.separate_file(tmp_path / "song.mp3", tmp_path / "bare", tags=False)
    assert b"id3 " not in bare["bass"].read_bytes()
