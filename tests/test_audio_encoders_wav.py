"""WAV and RF64: their headers."""

import struct

import numpy as np
import pytest
import soundfile
from audio_files import noise
from stem_files import read, write

from stemsplit.audio.encode import StemWriter
from stemsplit.audio.encoders import pcm
from stemsplit.audio.encoders.wav import wav_start
from stemsplit.audio.probe import probe
from stemsplit.options import EncodingOptions


def form_of(path):
    """The tag, channels, rate and bits of the fmt chunk, and the start of every chunk."""
    data = path.read_bytes()
    place, found = 12, {}
    while place < len(data):
        name, size = struct.unpack_from("<4sI", data, place)
        found[name] = data[place + 8 : place + 8 + min(size, 40)]
        place += 8 + size + size % 2
    tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", found[b"fmt "])
    return (tag, channels, rate, bits), found


@pytest.mark.parametrize(
    ("depth", "form"),
    [("16", (1, 2, 44100, 16)), ("24", (1, 2, 44100, 24)), ("32f", (3, 2, 44100, 32))],
)
def test_wav_headers_are_plain_and_contain_no_time(tmp_path, depth, form):
    """Players refuse WAVE_FORMAT_EXTENSIBLE (0xFFFE)."""
    paths, _ = write(tmp_path, {"a": noise(1000)}, depth=depth)
    found, chunks = form_of(paths["a"])
    assert found == form
    assert paths["a"].read_bytes()[:4] == b"RIFF"
    assert {b"fmt ", b"data"} <= set(chunks)
    assert b"PEAK" not in chunks  # which would hold the time of writing


def test_rf64_starts_where_a_wav_cannot_count(tmp_path, monkeypatch):
    form = {"depth": "16", "sample_rate": 44100, "channels": 1}
    assert wav_start(**form, frames=2**31 - 2**25).startswith(b"RIFF")
    assert wav_start(**form, frames=2**31 - 2**25 + 1).startswith(b"RF64")
    monkeypatch.setattr(pcm, "MOST_DATA", 7999)
    song = noise(1000)
    paths, _ = write(tmp_path, {"a": song})
    data = paths["a"].read_bytes()
    assert (data[:4], data[8:16]) == (b"RF64", b"WAVEds64")
    sizes = struct.unpack_from("<QQQ", data, 20)
    assert sizes == (len(data) - 8, 8000, 1000)
    assert np.array_equal(read(paths["a"]), song)
    assert np.array_equal(soundfile.read(paths["a"], dtype="float32")[0].T, song)


@pytest.mark.slow
def test_more_than_four_gigabytes(tmp_path):
    frames = 2**29 + 5  # stereo floats: 4 GiB and a little
    block = noise(2**20)
    writer = StemWriter(
        {"a": tmp_path / "a.wav"},
        options=EncodingOptions(),
        sample_rate=44100,
        channels=2,
        frames=frames,
    )
    with writer:
        for start in range(0, frames, 2**20):
            writer.write({"a": block[:, : frames - start]})
        writer.commit()
    assert soundfile.info(tmp_path / "a.wav").frames == frames
    assert probe(tmp_path / "a.wav").duration == pytest.approx(frames / 44100)
