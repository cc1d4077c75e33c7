"""Stems in step: one sample rate, channel count and length, whatever the size of blocks."""

import numpy as np
import psutil
import pytest
import soundfile
from audio_files import noise, store_stem_file, store_wav

from stemsplit.audio.decode import decode, read
from stemsplit.audio.probe import probe
from stemsplit.data import alignment as alignment_module
from stemsplit.data.alignment import align
from stemsplit.data.stems import StemFiles
from stemsplit.errors import ExitCode, InputError


@pytest.fixture
def place(tmp_path):
    """Return a writer of float32 files in the folder ``song``."""
    folder = tmp_path / "song"
    folder.mkdir()

    def write(name, samples, sample_rate=44_100):
        soundfile.write(folder / name, samples.T, sample_rate, subtype="FLOAT")
        return StemFiles(paths=(folder / name,))

    return write


def joined(alignment, block_frames=None):
    return np.concatenate(list(alignment.blocks(block_frames)), axis=-1)


@pytest.mark.parametrize("block_frames", [None, 1, 997, 44_100, 1_000_000])
def test_blocks_of_any_size_hold_the_same_frames_twice(place, block_frames):
    frames = 300 if block_frames == 1 else 50_001
    stems = [noise(frames, seed=seed) for seed in (1, 2, 3)]
    alignment = align([place(f"{k}.wav", stem) for k, stem in enumerate(stems)])
    assert (alignment.sample_rate, alignment.channels, alignment.frames) == (44_100, 2, frames)
    assert alignment.remarks == ()
    for _ in range(2):
        np.testing.assert_array_equal(joined(alignment, block_frames), np.stack(stems))
    sizes = {block.shape[-1] for block in alignment.blocks(block_frames)}
    assert max(sizes) == min(frames, block_frames or 44_100)


@pytest.mark.parametrize("cache_size", [0, 1 << 20])
def test_files_beyond_the_cache_are_decoded_again(place, monkeypatch, cache_size):
    monkeypatch.setattr(alignment_module, "CACHE_SIZE", cache_size)
    short, long = noise(50_001), noise(150_000, seed=2)  # 0.4 and 1.2 MB
    alignment = align([place("a.wav", short), place("b.wav", long)])
    for _ in range(2):
        np.testing.assert_array_equal(joined(alignment), np.stack([short, long[:, :50_001]]))
    place("a.wav", -short)
    np.testing.assert_array_equal(joined(alignment)[0], short if cache_size else -short)


def test_longer_stems_are_cut_with_a_remark(place):
    long, short = noise(44_100), noise(44_000, seed=2)
    alignment = align([place("a.wav", long), place("b.wav", short)])
    assert alignment.frames == 44_000
    np.testing.assert_array_equal(joined(alignment), np.stack([long[:, :44_000], short]))
    assert alignment.remarks == (
        "song/a.wav: last 100 of 44100 frames cut off, song/b.wav has 44000 (0.998 s)",
    )


def test_mono_is_copied_to_both_channels_with_a_remark(place):
    one, two = noise(1_000, 1), noise(1_000, 2, seed=2)
    alignment = align([place("one.wav", one), place("two.wav", two)])
    assert alignment.channels == 2
    np.testing.assert_array_equal(joined(alignment), np.stack([np.repeat(one, 2, axis=0), two]))
    assert alignment.remarks == ("mono, copied to both channels: song/one.wav",)
    alone = align([place("one.wav", one)])
    assert (alone.channels, alone.remarks) == (1, ())


@pytest.mark.parametrize(("rate", "other"), [(44_100, 48_000), (48_000, 22_050)])
def test_the_first_file_sets_the_rate(place, rate, other):
    times = np.arange(2 * other) / other
    tone = np.tile(0.5 * np.sin(2 * np.pi * 440 * times), (2, 1)).astype(np.float32)
    tracks = [place("a.wav", noise(2 * rate), rate), place("b.wav", tone, other)]
    alignment = align(tracks)
    assert (alignment.sample_rate, alignment.frames) == (rate, 2 * rate)
    assert alignment.remarks == (f"resampled from {other} to {rate} Hz: song/b.wav",)
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(2 * rate) / rate)
    middle = slice(rate // 4, -rate // 4)
    found = joined(alignment)[1, :, middle]
    np.testing.assert_allclose(found, np.tile(expected[middle], (2, 1)), atol=1e-5)
    assert align(tracks, sample_rate=other).frames == 2 * other


def test_a_sum_of_files_is_as_long_as_the_longest(place):
    lead, backing = noise(60_000), noise(50_000, seed=2)
    a, b = place("lead.wav", lead), place("backing.wav", backing)
    alignment = align([StemFiles(paths=a.paths + b.paths)])
    expected = lead.copy()
    expected[:, :50_000] += backing
    np.testing.assert_array_equal(joined(alignment, 7_000)[0], expected)
    assert alignment.remarks == (
        "song/backing.wav: ends 0.227 s before the other files of its sum",
    )


def test_streams_of_one_file(tmp_path):
    stems = [noise(44_100, seed=seed) for seed in range(5)]
    path = store_stem_file(tmp_path / "song.stem.mp4", stems)
    alignment = align([StemFiles(paths=(path, path), streams=(1, 3)), StemFiles(paths=(path,))])
    found = joined(alignment)
    for stem, expected in zip(found, (stems[1] + stems[3], stems[0]), strict=True):
        size = min(stem.shape[-1], 44_100)
        error = np.sum((stem[:, :size] - expected[:, :size]) ** 2) / np.sum(expected**2)
        assert error < 0.04  # AAC of noise


def test_more_channels_are_mixed_down_with_a_remark(tmp_path):
    store_wav(tmp_path / "six.wav", noise(1_000, 6))
    alignment = align([StemFiles(paths=(tmp_path / "six.wav",))])
    assert alignment.channels == 2
    assert alignment.remarks[0].endswith("six.wav: 6 channels are mixed down to 2")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity(place, value):
    broken = noise(50_000)
    broken[1, 47_000] = value
    with pytest.raises(
        InputError, match=r"b\.wav: .*NaN or infinite.* at 1\.066 s \(frame 47000\)"
    ):
        align([place("a.wav", noise(50_000)), place("b.wav", broken)])


def test_what_cannot_be_read(tmp_path, place):
    good = place("a.wav", noise(1_000))
    with pytest.raises(InputError, match=r"gone\.wav: no such file") as raised:
        align([good, StemFiles(paths=(tmp_path / "gone.wav",))])
    assert raised.value.exit_code == ExitCode.FILE
    (tmp_path / "text.wav").write_text("text")
    with pytest.raises(InputError, match=r"text\.wav: not an audio file"):
        align([good, StemFiles(paths=(tmp_path / "text.wav",))])
    with pytest.raises(InputError, match=r"none\.wav: .*"):
        align([good, place("none.wav", np.zeros((2, 0), np.float32))])


def test_closing_early_leaves_no_process(place, monkeypatch):
    monkeypatch.setattr(alignment_module, "CACHE_SIZE", 0)
    alignment = align([place(f"{k}.aiff", noise(500_000)) for k in range(3)])
    before = psutil.Process().children()  # such as that of multiprocessing
    blocks = alignment.blocks(1_000)
    next(blocks)
    assert len(psutil.Process().children()) > len(before)
    blocks.close()
    assert psutil.Process().children() == before


def test_a_stream_of_a_file_by_its_number(tmp_path):
    quiet, loud = noise(44_100, 2, level=0.01), noise(22_050, 1, level=0.1)
    film = store_stem_file(tmp_path / "a.mka", [quiet, loud], "-c:a", "flac")
    info = probe(film, 1)
    assert (info.stream, info.channels, info.codec) == (1, 1, "flac")
    with decode(info) as blocks:
        found = np.concatenate(list(blocks), axis=1)
    np.testing.assert_allclose(found, loud, atol=1 / 32_000)
    assert read(film).shape == (2, 44_100)
    with pytest.raises(InputError, match="has no audio stream number 3"):
        probe(film, 2)
