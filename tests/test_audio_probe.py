"""Probing: what a file is, without ffprobe, whatever its name and tags look like."""

import os
import shutil
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from audio_files import ENCODERS, cut, noise, run_ffmpeg, store, store_film, store_wav

from stemsplit.audio.decode import decode
from stemsplit.audio.probe import has_other_streams, probe
from stemsplit.errors import ExitCode, InputError, ResourceError

CODECS = {
    "wav": "pcm_s16le",
    "aiff": "pcm_s24be",
    "flac": "flac",
    "mp3": "mp3",
    "m4a": "aac",
    "ogg": "vorbis",
    "opus": "opus",
    "mka": "vorbis",
    "wv": "wavpack",
    "wma": "wmav2",
    "aac": "aac",
}
HOSTILE_NAMES = [
    "with spaces and 'quotes\" and \\back.wav",
    "new\nline\n  Duration: 99:00:00.00, start: 0.wav",
    "new\n[info]   Duration: 99:00:00.00, start: 0.wav",
    "émöji-🎧-日本語.wav",
    "-i.wav",
    "http:__example.org.wav",
    "concat:a|b.wav",
    "%d%s{}[0:a]$HOME`id`;&.wav",
    ".hidden",
    "bell\x07tab\tescape\x1b[31m.wav",
    os.fsdecode(b"latin-\xe9\xff.wav"),
]


@pytest.mark.parametrize("ending", ENCODERS)
def test_rate_channels_duration_and_codec_of_every_format(tmp_path, ending):
    info = probe(store(tmp_path / f"a.{ending}", noise(2 * 48000), 48000))
    assert (info.sample_rate, info.channels, info.stored_channels) == (48000, 2, 2)
    assert info.codec == CODECS[ending]
    if ending == "aac":  # a bare stream declares nothing; what ffmpeg estimates is not reliable
        assert info.duration is None
    else:
        assert info.duration == pytest.approx(2, abs=0.07)


@pytest.mark.parametrize("form", ["w64", "caf"])
@pytest.mark.parametrize("codec", ["pcm_s16le", "pcm_s24le", "pcm_f32le"])
def test_durations_in_the_headers_of_w64_and_caf(tmp_path, form, codec):
    words = ["-f", "lavfi", "-i", "sine=duration=2:sample_rate=48000", "-c:a", codec, "-f", form]
    run_ffmpeg(*words, str(tmp_path / "whole"))
    assert probe(tmp_path / "whole").duration == pytest.approx(2, abs=1e-9)
    if form == "caf":  # ffmpeg does not read a W64 whose writer did not know how long it is
        (tmp_path / "piped").write_bytes(run_ffmpeg(*words, "pipe:1"))
        assert probe(tmp_path / "piped").duration is None
    data = (tmp_path / "whole").read_bytes()
    (tmp_path / "cut").write_bytes(data[: len(data) // 2])
    with (
        pytest.raises(InputError, match=r"truncated: [01]\.\d s of 2\.0 s"),
        decode(probe(tmp_path / "cut")) as blocks,
    ):
        list(blocks)


@pytest.mark.parametrize(
    ("form", "codec", "cut_off"),
    [
        ("caf", "alac", "not an audio file"),  # its table of packets is at the end
        ("w64", "adpcm_ms", "truncated: 1"),
        ("wav", "adpcm_ms", "truncated: 1"),
        ("wav", "pcm_mulaw", "truncated: 1"),
    ],
)
def test_what_is_compressed_lasts_as_long_as_ffmpeg_says(tmp_path, form, codec, cut_off):
    words = ["-f", "lavfi", "-i", "sine=duration=3:sample_rate=48000", "-c:a", codec, "-f", form]
    whole = tmp_path / f"a.{form}"
    run_ffmpeg(*words, str(whole))
    # ffmpeg 5 to 8 count whole packets, of 4096 frames, as valid.
    slack = 4096 / 48000 if codec == "alac" else 0.01
    assert probe(whole).duration == pytest.approx(3, abs=slack)
    with decode(probe(whole)) as blocks:
        frames = sum(block.shape[1] for block in blocks)
        assert frames == 3 * 48000 if codec == "alac" else 3 * 48000 <= frames < 3 * 48000 + 1024
        assert blocks.warnings == []
    with pytest.raises(InputError, match=cut_off), decode(probe(cut(whole, 0.6))) as blocks:
        list(blocks)
    if form == "wav":
        (tmp_path / "piped").write_bytes(run_ffmpeg(*words, "pipe:1"))
        assert probe(tmp_path / "piped").duration is None


@pytest.mark.parametrize(("form", "subtype"), [("W64", "PCM_24"), ("CAF", "FLOAT")])
def test_w64_and_caf_of_libsndfile(tmp_path, form, subtype):
    soundfile.write(tmp_path / "a", np.zeros((44_100, 2)), 44_100, format=form, subtype=subtype)
    info = probe(tmp_path / "a")
    assert info.duration in (None, 1)
    with decode(info) as blocks:
        assert sum(block.shape[1] for block in blocks) == 44_100


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (44100, 1), (96000, 2), (192000, 2)])
def test_odd_rates_and_mono(tmp_path, rate, channels):
    info = probe(store(tmp_path / "a.flac", noise(rate, channels), rate))
    assert (info.sample_rate, info.channels, info.stored_channels) == (rate, channels, channels)
    assert info.duration == pytest.approx(1, abs=0.011)


def test_more_than_two_channels_become_two(tmp_path):
    info = probe(store(tmp_path / "a.flac", noise(48000, 6), 48000))
    assert (info.channels, info.stored_channels) == (2, 6)


def test_the_first_audio_stream_of_a_video(tmp_path):
    film = store_film(tmp_path / "a.mp4", noise(44100, 1), 44100, 1)
    info = probe(film)
    assert (info.sample_rate, info.channels, info.codec) == (44100, 1, "aac")
    assert has_other_streams(film)


def test_cover_art_does_not_count_as_another_stream(tmp_path):
    song = store(tmp_path / "a.mp3", noise(44100), 44100)
    assert not has_other_streams(song)
    picture = ("-f", "lavfi", "-i", "color=size=64x64:duration=0.1")
    words = ("-map", "0", "-map", "1", "-frames:v", "1", "-c:a", "copy", "-c:v", "mjpeg")
    covered = tmp_path / "covered.mp3"
    run_ffmpeg("-i", f"file:{song}", *picture, *words, "-disposition:v", "attached_pic", covered)
    assert not has_other_streams(covered)
    assert probe(covered).codec == "mp3"


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_hostile_names(tmp_path, name):
    info = probe(store_wav(tmp_path / name, noise(22050, 1), 22050))
    assert (info.sample_rate, info.channels, info.codec) == (22050, 1, "pcm_s16le")
    assert info.duration == 1.0
    assert info.path == tmp_path / name


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_hostile_names_of_formats_whose_duration_ffmpeg_reports(tmp_path, name):
    store(tmp_path / "a.flac", noise(22050, 1), 22050).rename(tmp_path / name)
    assert probe(tmp_path / name).duration == 1.0


def test_a_relative_path_and_one_with_dots(tmp_path, monkeypatch):
    store_wav(tmp_path / "-a.wav", noise(100), 44100)
    monkeypatch.chdir(tmp_path)
    assert probe(Path("-a.wav")).sample_rate == 44100
    assert probe(tmp_path / ".." / tmp_path.name / "-a.wav").sample_rate == 44100


def test_tags_that_imitate_the_report_are_not_believed(tmp_path):
    lie = "x\n[info]   Duration: 99:00:00.00, start: 0.000000, bitrate: 1 kb/s\n"
    lie += "[info]   Stream #0:0 -> #0:0 (evil (native) -> pcm_s16be (native))\n"
    for ending in ("flac", "ogg", "mka", "mp3"):
        song = store(
            tmp_path / f"a.{ending}",
            noise(44100),
            44100,
            *ENCODERS[ending],
            *(f"-metadata:s:a:0\0language={lie}\0-metadata\0title={lie}".split("\0")),
        )
        info = probe(song)
        assert info.sample_rate == 44100
        assert info.duration in (None, pytest.approx(1, abs=0.06))
        assert info.codec in ("unknown", CODECS[ending])


@pytest.mark.parametrize("promised", [0, 0xFFFFFFFF, 0xFFFFFFFF - 36, 0x7FFFFFFF, 0x80000000])
def test_a_streamed_wav_declares_no_duration(tmp_path, promised):
    assert probe(store_wav(tmp_path / "a.wav", noise(4410), promised=promised)).duration is None


def test_a_wav_header_is_taken_at_its_word(tmp_path):
    """ffmpeg shortens the duration to what the file can hold, and so hides what is missing."""
    song = cut(store_wav(tmp_path / "a.wav", noise(441000), 44100))
    assert probe(song).duration == 10.0


def test_an_rf64_header_is_taken_at_its_word(tmp_path):
    song = store(tmp_path / "a.wav", noise(441000), 44100, "-c:a", "pcm_s16le", "-rf64", "always")
    assert song.read_bytes()[:4] == b"RF64"
    assert probe(song).duration == 10.0
    assert probe(cut(song)).duration == 10.0
    # A size that is a placeholder in 32 bits is the true one in 64.
    data = bytearray(song.read_bytes())
    place = data.index(b"ds64") + 8 + 8
    data[place : place + 8] = (0x7FFFFFF0).to_bytes(8, "little")
    song.write_bytes(data)
    assert probe(song).duration == 0x7FFFFFF0 / (44100 * 4)


def test_files_that_are_not_audio(tmp_path):
    (tmp_path / "empty.mp3").touch()
    (tmp_path / "text.txt").write_text("Hello, this is a text and not a song.\n" * 50)
    (tmp_path / "random.mp3").write_bytes(np.random.default_rng(1).bytes(50_000))
    run_ffmpeg("-f", "lavfi", "-i", "color=size=64x64:duration=1", tmp_path / "silent.mp4")
    os.mkfifo(tmp_path / "pipe.wav")
    reasons = {
        "absent.wav": "no such file",
        ".": "is a folder, not a file",
        "empty.mp3": r"is empty \(0 bytes\)",
        "text.txt": r"contains no audio itself|not an audio file .+ \(Invalid data",
        "random.mp3": r"not an audio file that ffmpeg can read \(.+\)",
        "silent.mp4": "has no audio stream",
        "pipe.wav": "is not a regular file",
        "a\0b": "cannot be read: embedded null",
    }
    for name, reason in reasons.items():
        with pytest.raises(InputError, match=reason) as e:
            probe(tmp_path / name)
        assert e.value.exit_code == ExitCode.FILE
        assert "\n" not in str(e.value)
        assert str(e.value).count(str(tmp_path)) == 1  # the reason does not repeat the path


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file that even root may not read")
def test_a_file_without_read_permission(tmp_path):
    path = tmp_path / "a.wav"
    store_wav(path, noise(100))
    path.chmod(0)
    if os.access(path, os.R_OK):  # root
        path = Path("/proc/self/mem")
        with pytest.raises(InputError):
            probe(path)
        return
    with pytest.raises(InputError, match="permission denied"):
        probe(path)


@pytest.mark.skipif(os.name == "nt", reason="programs of POSIX")
@pytest.mark.parametrize("name", ["false", "true", "echo", "ls"])
def test_a_program_that_is_not_ffmpeg_is_not_blamed_on_the_song(tmp_path, monkeypatch, name):
    song = store_wav(tmp_path / "a.wav", noise(100))
    program = shutil.which(name)
    monkeypatch.setenv("STEMSPLIT_FFMPEG", program)
    for examine in (probe, has_other_streams):
        with pytest.raises(ResourceError, match="ffmpeg does not work: ") as e:
            examine(song)
        assert e.value.exit_code == ExitCode.ENVIRONMENT
        assert e.value.path == program
        assert "STEMSPLIT_FFMPEG" in (e.value.hint or "")


@pytest.mark.parametrize("rate", [1, 99, 10_000_001, 2**31 - 1])
def test_implausible_sample_rates_are_refused(tmp_path, rate):
    """At 1 Hz, resampling makes gigabytes of a few kilobytes; at 2 GHz, a second is 17 GB."""
    path = wav_at(tmp_path, rate)
    reason = f"unsupported sample rate of {rate} Hz; supported: 100 Hz to 10 MHz"
    with pytest.raises(InputError, match=reason):
        probe(path)


@pytest.mark.parametrize("rate", [100, 4000, 768_000, 2_822_400, 10_000_000])
def test_unusual_rates_are_read(tmp_path, rate):
    assert probe(wav_at(tmp_path, rate)).sample_rate == rate


def wav_at(folder: Path, rate: int) -> Path:
    data = bytes(8000)
    form = struct.pack("<HHIIHH", 1, 1, rate, rate * 2 % 2**32, 2, 16)
    path = folder / "a.wav"
    path.write_bytes(
        b"RIFF"
        + struct.pack("<I", 36 + len(data))
        + b"WAVEfmt "
        + struct.pack("<I", 16)
        + form
        + b"data"
        + struct.pack("<I", len(data))
        + data
    )
    return path
