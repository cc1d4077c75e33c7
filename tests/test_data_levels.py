"""Levels over time, and statistics of spectrograms, against direct computation."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from audio_files import noise

from stemsplit.data.levels import FLOOR, LevelMeter, add_levels
from stemsplit.data.whitening import WhiteningMeter


@pytest.mark.parametrize("rate", [8000, 11_025, 44_100])
@pytest.mark.parametrize("block", [1, 997, 10**6])
def test_the_level_of_every_tenth_of_a_second(rate: int, block: int) -> None:
    sound = noise(int(rate * (0.35 if block == 1 else 2.57)), 2)
    meter = LevelMeter(rate)
    for start in range(0, sound.shape[1], block):
        meter.add(sound[:, start : start + block])
    count = -(-10 * sound.shape[1] // rate)
    borders = np.round(np.arange(count + 1) * rate / 10).astype(int)
    powers = [np.mean(sound[:, a:b].astype(float) ** 2) for a, b in pairwise(borders)]
    np.testing.assert_allclose(meter.result(), 10 * np.log10(powers), rtol=1e-5)


def test_the_levels_of_silence_and_of_sums() -> None:
    meter = LevelMeter(8000)
    assert meter.result().shape == (0,)
    meter.add(np.zeros((1, 1600), np.float32))
    assert meter.result().tolist() == [FLOOR, FLOOR]
    loud, quiet = np.float32([-10, FLOOR, -20]), np.float32([-10])
    np.testing.assert_allclose(add_levels([loud, quiet]), [-6.99, FLOOR, -20], atol=0.01)


def test_whitening_is_that_of_all_frames_of_all_songs() -> None:
    songs = [noise(30_000, 2, seed=1), 3 * noise(9000, 2, seed=2), noise(100, 2, seed=3)]
    meter = WhiteningMeter(size=512, hop=128)
    for song in songs:
        for start in range(0, song.shape[1], 1001):
            meter.add(song[:, start : start + 1001])
        meter.end_song()
    window = np.hanning(513)[:-1]
    frames = [
        mono[start : start + 512] * window
        for mono in (song.mean(axis=0) for song in songs)
        for start in range(0, len(mono) - 511, 128)
    ]
    magnitude = np.abs(np.fft.rfft(frames))
    found = meter.result()
    np.testing.assert_allclose(found.mean, magnitude.mean(axis=0), rtol=1e-4, atol=1e-6)
    expected = np.maximum(magnitude.std(axis=0), 1e-4 * magnitude.std(axis=0).max())
    np.testing.assert_allclose(found.scale, expected, rtol=1e-3, atol=1e-6)
    samples = np.concatenate([song.mean(axis=0) for song in songs])
    assert found.sample_scale == pytest.approx(samples.std(), rel=1e-4)
    assert found.sample_mean == pytest.approx(samples.mean(), abs=1e-6)


def test_whitening_of_nothing() -> None:
    found = WhiteningMeter(size=512, hop=128).result()
    assert not found.mean.any()
    assert not found.scale.any()
