"""MP3: as long and as loud as the song."""

import mutagen.mp3
import numpy as np
import pytest
from audio_files import decibel, lag, noise, run_ffmpeg, tones
from stem_files import read, write

from stemsplit.audio.encoders.mp3 import checksum, correct_padding
from stemsplit.audio.format_table import FORMATS
from stemsplit.audio.formats import encoded_rate
from stemsplit.audio.probe import probe
from stemsplit.errors import StemsplitError
from stemsplit.options import EncodingOptions


@pytest.mark.parametrize(("rate", "channels"), [(44100, 2), (48000, 1), (22050, 2), (8000, 1)])
def test_mp3_keeps_count_place_and_level(tmp_path, rate, channels):
    song = noise(100_003, channels)
    paths, _ = write(tmp_path, {"vocals": song}, rate, format="mp3")
    found = read(paths["vocals"])
    assert found.shape == song.shape
    assert lag(song, found) == 0
    assert decibel(song, found) > 15
    assert abs(20 * np.log10(found.std() / song.std())) < 0.1


@pytest.mark.parametrize(
    ("rate", "frames"),
    [
        *((44100, frames) for frames in (1, 2, 46, 47, 1152, 1153, 1198, 1199, 1152 * 20 + 1)),
        # ffmpeg 5 cannot read MPEG-2 files of a few frames, whoever wrote them.
        *((22050, 576 * 40 + frames) for frames in (0, 1, 46, 47, 48)),
    ],
)
def test_lengths_for_which_ffmpeg_cannot_declare_the_padding(tmp_path, rate, frames):
    paths, _ = write(tmp_path, {"a": noise(frames)}, rate, format="mp3")
    assert read(paths["a"]).shape == (2, frames)


def test_mp3_above_48_khz_is_stored_at_48_khz(tmp_path):
    options = EncodingOptions(format="mp3")
    found = {rate: encoded_rate(options, rate) for rate in (7350, 8000, 37800, 44100, 88200, 96000)}
    assert found == {
        7350: 8000, 8000: 8000, 37800: 44100, 44100: 44100, 88200: 48000, 96000: 48000,
    }  # fmt: skip
    assert encoded_rate(EncodingOptions(format="flac"), 192000) == 192000
    song = noise(96001)
    paths, _ = write(tmp_path, {"a": song}, 96000, format="mp3")
    found = read(paths["a"])
    assert probe(paths["a"]).sample_rate == 48000
    assert found.shape == (2, 48000)
    assert lag(song[:, ::2], found) == 0


@pytest.mark.parametrize("bitrate", FORMATS["mp3"].rules.bitrates)
@pytest.mark.parametrize("rate", [44100, 22050])
def test_mp3_is_as_loud_at_every_bit_rate(tmp_path, bitrate, rate):
    """LAME alone would be 0.45 dB too low below 192 kbit/s: stems would not add up to the song."""
    song = tones(40_000, rate, (440.0, 880.0))
    paths, _ = write(tmp_path, {"a": song}, rate, format="mp3", bitrate=bitrate)
    assert abs(20 * np.log10(np.sum(read(paths["a"]) * song) / np.sum(song**2))) < 0.03


@pytest.mark.parametrize("bitrate", [128, 320])
def test_the_bit_rate_is_constant_and_as_requested(tmp_path, bitrate):
    paths, _ = write(tmp_path, {"a": noise(10 * 44100)}, format="mp3", bitrate=bitrate)
    assert paths["a"].stat().st_size == pytest.approx(10 * bitrate * 125, rel=0.02)


def test_the_gapless_tag_has_a_right_checksum(tmp_path):
    """The checksum that ffmpeg writes proves the one that replaces it."""
    samples = noise(44100).T.tobytes()
    words = ("-f", "f32le", "-ar", "44100", "-ac", "2", "-i", "pipe:0", "-id3v2_version", "0")
    run_ffmpeg(*words, "-b:a", "320k", str(tmp_path / "a.mp3"), data=samples)
    before = (tmp_path / "a.mp3").read_bytes()
    end = before.find(b"Info") + 154
    assert checksum(before[:end]) == int.from_bytes(before[end : end + 2], "big")
    correct_padding(tmp_path / "a.mp3", 44100)
    after = (tmp_path / "a.mp3").read_bytes()
    changed = [i for i, (old, new) in enumerate(zip(before, after, strict=True)) if old != new]
    maker = end - 34  # there was nothing else to correct
    assert changed
    assert {*changed} <= {*range(maker, maker + 9), end, end + 1}
    assert mutagen.mp3.MP3(tmp_path / "a.mp3").info.length == 1
    correct_padding(tmp_path / "a.mp3", 44000)
    after = (tmp_path / "a.mp3").read_bytes()
    assert checksum(after[:end]) == int.from_bytes(after[end : end + 2], "big")
    assert read(tmp_path / "a.mp3").shape == (2, 44000)
    with pytest.raises(StemsplitError, match=r"the mp3 holds \d+ frames, not 99999"):
        correct_padding(tmp_path / "a.mp3", 99999)
    (tmp_path / "b.mp3").write_bytes(bytes(2000))
    with pytest.raises(StemsplitError, match="no gapless tag"):
        correct_padding(tmp_path / "b.mp3", 1)
