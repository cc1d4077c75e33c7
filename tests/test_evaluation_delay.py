"""Delay and polarity: found to the sample, through noise and filters, or not at all."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from audio_files import noise
from hypothesis import given, settings
from hypothesis import strategies as st

from stemsplit.audio.decode import read
from stemsplit.evaluation.delay import DelayMeter

RATE = 8_000
REAL = Path(__file__).parent.parent / ".." / "shared" / "stems" / "eval"


def measure_delay(reference, estimate, sample_rate):
    """Return delay and polarity of one stem, both ``(C, T)``."""
    meter = DelayMeter(sample_rate)
    meter.add(reference[None], estimate[None])
    return meter.result()[0]


def shifted(audio, delay):
    """Return ``audio`` (…, T), ``delay`` samples later (or earlier), silence where it has ended."""
    frames = audio.shape[-1]
    padded = np.pad(audio, [(0, 0)] * (audio.ndim - 1) + [(max(0, delay), max(0, -delay))])
    return padded[..., max(0, -delay) :][..., :frames]


@settings(max_examples=25, deadline=None)
@given(
    delay=st.integers(-RATE, RATE),
    inverted=st.booleans(),
    frames=st.integers(4 * RATE, 12 * RATE),
    channels=st.sampled_from([1, 2]),
)
def test_any_shift_and_flip_is_found_to_the_sample(delay, inverted, frames, channels):
    reference = np.random.default_rng(frames).normal(0, 0.1, (channels, frames))
    estimate = shifted(reference, delay) * (-1 if inverted else 1)
    assert measure_delay(reference, estimate, RATE) == (delay, inverted)


@pytest.mark.parametrize("delay", [0, 1, -7, 2_345])
def test_through_noise_as_strong_as_the_stem(delay):
    reference = noise(6 * RATE)
    estimate = shifted(reference, delay) + noise(6 * RATE, seed=5)
    assert measure_delay(reference, -0.3 * estimate, RATE) == (delay, True)


def test_unrelated_signals_have_no_delay():
    reference = noise(6 * RATE)
    assert measure_delay(reference, noise(6 * RATE, seed=9), RATE) == (None, False)
    assert measure_delay(reference, np.zeros_like(reference), RATE) == (None, False)
    assert measure_delay(np.zeros_like(reference), reference, RATE) == (None, False)
    assert DelayMeter(RATE).result() == []
    assert measure_delay(reference[:, :1], reference[:, :1], RATE)[1] is False


def test_a_delay_beyond_the_reach_is_not_found():
    reference = noise(12 * RATE)
    assert measure_delay(reference, shifted(reference, RATE + 500), RATE) == (None, False)


def test_channels_of_opposite_phase_are_measured():
    left = noise(6 * RATE, 1)
    reference = np.concatenate([left, -left])
    assert measure_delay(reference, shifted(reference, 33), RATE) == (33, False)


@settings(max_examples=5, deadline=None)
@given(sizes=st.lists(st.integers(0, 60_000), max_size=6))
def test_several_stems_in_blocks_of_any_size(sizes):
    frames = 100_001
    references = np.stack([noise(frames, seed=1), noise(frames, seed=2), noise(frames, seed=3)])
    estimates = np.stack(
        [shifted(references[0], 501), -shifted(references[1], -3), noise(frames, seed=4)]
    )
    meter = DelayMeter(RATE)
    bounds = [0, *np.minimum(np.cumsum(sizes), frames).astype(int), frames]
    for start, end in pairwise(bounds):
        meter.add(references[..., start:end], estimates[..., start:end])
    assert meter.result() == [(501, False), (-3, True), (None, False)]


@pytest.mark.skipif(not REAL.is_dir(), reason="no real stems")
@pytest.mark.parametrize("song", ["mdb_rock", "eif_lithium"])
def test_real_stems(song):
    stems = {name: read(REAL / song / f"{name}.flac") for name in ("vocals", "bass", "mixture")}
    vocals, bass, mixture = stems["vocals"], stems["bass"], stems["mixture"]
    assert measure_delay(vocals, shifted(mixture, 997), 44_100) == (997, False)
    assert measure_delay(bass, -shifted(bass, -1_201), 44_100) == (-1_201, True)
    assert measure_delay(vocals, bass, 44_100) == (None, False)
