"""Opus: bit rates."""

from audio_files import noise
from stem_files import read, write


def test_opus_of_one_channel_takes_any_bit_rate(tmp_path):
    """libopus knows 256 kbit/s a channel, and refuses more."""
    paths, _ = write(tmp_path, {"a": noise(20_000, 1)}, 48000, format="opus", bitrate=510)
    assert read(paths["a"]).shape == (1, 20_000)
