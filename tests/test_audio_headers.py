"""What headers declare, and what is missing at the end of a file."""

import io
import struct

import numpy as np
import pytest
from audio_files import noise, run_ffmpeg, store, store_wav

from stemsplit.audio.decode import decode, read
from stemsplit.audio.flac import holds_another_flac
from stemsplit.audio.headers import Undecided, declared_duration
from stemsplit.audio.probe import probe
from stemsplit.errors import InputError

RATE = 44_100
FLAC_START = b"fLaC\0\0\0\x22"
FRAMES = 2 * RATE
CODECS = {
    "wav": "pcm_s16le",
    "w64": "pcm_s24le",
    "caf": "pcm_s16be",
    "aiff": "pcm_s16be",
    "au": "pcm_s16be",
    "voc": "pcm_s16le",
}


def warnings_of(path, **options):
    decoder = decode(probe(path), **options)
    frames = sum(block.shape[1] for block in decoder)
    return frames, decoder.warnings


def without_end(path, size):
    """Return ``path`` without the last ``size`` bytes of samples, and all that follows them."""
    data = path.read_bytes()
    marks = {".voc": 1}  # the mark of the end
    path.write_bytes(data[: len(data) - marks.get(path.suffix, 0) - size])
    return path


@pytest.mark.parametrize("ending", CODECS)
def test_a_header_declares_the_length_to_the_sample(tmp_path, ending):
    path = store(tmp_path / f"a.{ending}", noise(FRAMES + 7), RATE, "-c:a", CODECS[ending])
    info = probe(path)
    assert info.counted
    # ffmpeg counts the padding of W64, to 8 bytes, with the samples.
    more = (0, 1) if ending == "w64" else (0,)
    assert round(info.duration * RATE) - FRAMES - 7 in more
    frames, warnings = warnings_of(path)
    assert frames - FRAMES - 7 in more
    assert warnings == []


@pytest.mark.parametrize("ending", CODECS)
@pytest.mark.parametrize("missing", [10, 4000])
def test_a_few_missing_frames_are_reported(tmp_path, ending, missing):
    bytes_of_a_frame = 6 if ending == "w64" else 4
    path = store(tmp_path / f"a.{ending}", noise(FRAMES), RATE, "-c:a", CODECS[ending])
    frames, warnings = warnings_of(without_end(path, missing * bytes_of_a_frame))
    lacking = FRAMES - frames
    assert missing - 8 <= lacking <= missing + 8
    if ending == "voc":  # made of blocks: how many are gone, nothing says
        assert warnings[0] == "has no end marker; the original may be longer"
        return
    assert warnings == [f"its last {lacking} frames ({lacking / RATE:.3f} s) are missing"]


@pytest.mark.parametrize("ending", CODECS)
def test_more_missing_frames_are_refused(tmp_path, ending):
    path = store(tmp_path / f"a.{ending}", noise(FRAMES), RATE, "-c:a", CODECS[ending])
    without_end(path, FRAMES // 2 * 4)
    if ending == "voc":
        assert warnings_of(path)[1][0] == "has no end marker; the original may be longer"
        return
    with pytest.raises(InputError, match=r"truncated: 1\.\d s of 2\.0 s could be decoded"):
        warnings_of(path)


@pytest.mark.parametrize("rate", [8000, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_the_tag_of_an_mp3_declares_the_length_to_the_sample(tmp_path, rate, channels):
    for frames in (rate // 3, 2 * rate + 11):
        path = store(tmp_path / "a.mp3", noise(frames, channels), rate)
        assert probe(path).duration == pytest.approx(frames / rate, abs=1e-9)
        assert warnings_of(path) == (frames, [])


@pytest.mark.parametrize("seconds", [0.3, 2, 3.3])
def test_alac_in_caf_has_its_length(tmp_path, seconds):
    song = np.rint(noise(round(seconds * RATE)) * 32767) / np.float32(32768)
    path = store(tmp_path / "a.caf", song, RATE, "-c:a", "alac")
    found = read(path)
    assert found.shape == song.shape
    assert np.abs(found - song).max() < 2**-15


@pytest.mark.parametrize(
    ("ending", "codec"),
    [("m4a", "aac"), ("mov", "aac"), ("mp4", "libmp3lame"), ("mp4", "libopus"), ("m4a", "alac")],
)
@pytest.mark.parametrize("frames", [1500, 48_000, 100_001])
def test_sound_in_mp4_has_its_length(tmp_path, ending, codec, frames):
    path = store(tmp_path / f"a.{ending}", noise(frames), 48_000, "-c:a", codec)
    assert warnings_of(path) == (frames, [])


def test_the_table_of_packets_of_a_caf_counts(tmp_path):
    path = store(tmp_path / "a.caf", noise(2 * RATE), RATE, "-c:a", "adpcm_ima_qt")
    data = path.read_bytes()
    if b"pakt" not in data:  # of ffmpeg before version 9
        table = struct.pack(">qqii", 0, 2 * RATE, 0, 48)
        path.write_bytes(data + struct.pack(">4sq", b"pakt", len(table)) + table)
    assert warnings_of(path) == (2 * RATE, [])


def test_a_header_that_says_nothing_is_left_to_ffmpeg(tmp_path):
    for container, data in (("wav", b""), ("flac", b"fLaC"), ("mp3", bytes(3000)), ("ogg", b"")):
        if container == "wav":
            assert declared_duration(io.BytesIO(data), container) is None
            continue
        with pytest.raises(Undecided):
            declared_duration(io.BytesIO(data), container)


def test_a_joined_flac_is_known(tmp_path, monkeypatch):
    path = store(tmp_path / "a.flac", noise(FRAMES), RATE)
    assert not holds_another_flac(path)
    path.write_bytes(path.read_bytes() * 2)
    assert holds_another_flac(path)
    for size in (20, 23):  # one that lies on both sides of a border, and one just before it
        monkeypatch.setattr("stemsplit.audio.flac.PIECE", size)
        one = bytes(15) + FLAC_START + bytes(9)
        for data, several in ((one, False), (one + FLAC_START, True)):
            path.write_bytes(data)
            assert holds_another_flac(path) == several


@pytest.mark.parametrize(("valid", "stored"), [(24, 32), (20, 32), (16, 32), (16, 24), (20, 24)])
def test_valid_bits_are_read_from_wider_samples(tmp_path, valid, stored):
    song = np.round(noise(FRAMES) * 2 ** (valid - 1)).astype(np.int64)
    wide = (song << (stored - valid)).T
    raw = wide.astype("<i4").tobytes() if stored == 32 else _three_bytes(wide)
    width = stored // 8
    form = struct.pack("<HHIIHH", 0xFFFE, 2, RATE, RATE * 2 * width, 2 * width, stored)
    form += struct.pack("<HHI", 22, valid, 3) + bytes.fromhex("0100000000001000800000aa00389b71")
    chunks = b"fmt " + struct.pack("<I", len(form)) + form
    chunks += b"data" + struct.pack("<I", len(raw)) + raw
    path = tmp_path / "a.wav"
    path.write_bytes(b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks)
    found = read(path)
    assert np.array_equal(found, (song / 2.0 ** (valid - 1)).astype(np.float32))


def _three_bytes(samples):
    return samples.astype("<i4").reshape(-1, 1).view(np.uint8)[:, :3].tobytes()


def test_an_impossible_sample_rate_is_an_input_error(tmp_path):
    path = store_wav(tmp_path / "a.wav", noise(8000, 1), 2**31 - 1)
    with pytest.raises(
        InputError, match="unsupported sample rate of 2147483647 Hz; supported: 100 Hz to 10 MHz"
    ):
        probe(path)


@pytest.mark.parametrize("channels", [9, 12, 16, 40])
def test_many_channels_without_a_layout_are_mixed_equally(tmp_path, channels):
    song = noise(RATE, channels)
    path = store_wav(tmp_path / "a.wav", song, RATE)
    info = probe(path)
    assert (info.stored_channels, info.channels, info.placed) == (channels, 2, False)
    found = read(path)
    assert np.array_equal(found[0], found[1])
    assert np.abs(found[0] - song.mean(0)).max() < 1e-4


def test_more_channels_than_can_be_mixed_are_refused(tmp_path):
    path = store_wav(tmp_path / "a.wav", noise(1000, 64), RATE)
    assert read(path).shape == (2, 1000)
    path = store_wav(tmp_path / "a.wav", noise(1000, 65), RATE)
    with pytest.raises(InputError, match="has 65 channels; at most 64 are supported"):
        probe(path)


def test_channels_with_a_layout_are_mixed_by_it(tmp_path):
    silent = np.zeros((6, RATE), np.float32)
    run_ffmpeg(
        *("-f", "f32le", "-ar", str(RATE), "-ch_layout", "5.1", "-i", "pipe:0"),
        f"file:{tmp_path / 'a.wav'}",
        data=silent.T.tobytes(),
    )
    assert probe(tmp_path / "a.wav").placed
