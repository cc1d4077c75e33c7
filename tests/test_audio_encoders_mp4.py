"""AAC in MP4: its packets."""

import struct

import pytest
from audio_files import lag, noise
from stem_files import read, write

from stemsplit.audio.mp4 import find


@pytest.mark.parametrize("frames", [1024, 1025, 2047, 44101, 50_000])
def test_aac_ends_with_a_packet(tmp_path, frames):
    """Readers that cut off whole packets only at the end (ffmpeg 5, PyAV) have nothing to cut."""
    paths, _ = write(tmp_path, {"a": noise(frames)}, format="m4a")
    data = paths["a"].read_bytes()
    edit, _ = find(data, b"moov", b"trak", b"edts", b"elst")
    version, count, length, start = struct.unpack_from(">IIIi", data, edit)
    assert (version, count, length) == (0, 1, frames)
    assert 1024 <= start < 2048
    sizes, _ = find(data, b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsz")
    packets = struct.unpack_from(">I", data, sizes + 8)[0]
    assert 1024 * packets == start + frames
    assert read(paths["a"]).shape == (2, frames)
    assert lag(noise(frames), read(paths["a"])) == 0
