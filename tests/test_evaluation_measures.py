"""What stems show by themselves: closed forms, and the same figures for any size of blocks."""

import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from audio_files import noise, tones
from hypothesis import given, settings
from hypothesis import strategies as st

from stemsplit.evaluation.loudness import LoudnessMeter, TruePeakMeter
from stemsplit.evaluation.measures import Measurer

RATE = 44_100


def measure(names, stems, sample_rate, mix=None):
    """Return the measures of ``stems`` ``(S, C, T)``, and of ``mix`` ``(C, T)``."""
    measurer = Measurer(names, sample_rate)
    measurer.add(stems, mix)
    return measurer.result()


def measured(stem, sample_rate=RATE, **options):
    return measure(["stem"], stem[None], sample_rate, **options).stems[0]


@settings(max_examples=6, deadline=None)
@given(sizes=st.lists(st.integers(0, 70_000), max_size=6), mono=st.booleans())
def test_the_sizes_of_blocks_do_not_matter(sizes, mono):
    frames = 150_001
    stems = np.stack([noise(frames, seed=k, level=0.2) for k in range(3)])[:, : 1 if mono else 2]
    stems[0, :, 65_534:65_540] = 1.0
    mix = stems.sum(axis=0) + 0.01 * stems[0]
    names = ["a", "b", "c"]
    whole = measure(names, stems, RATE, mix=mix)
    measurer = Measurer(names, RATE)
    for start, end in pairwise([0, *np.minimum(np.cumsum(sizes), frames).astype(int), frames]):
        measurer.add(stems[..., start:end], mix[..., start:end])
    assert measurer.result() == whole


def test_memory_does_not_grow_with_the_song():
    block = np.stack([noise(RATE, seed=k) for k in range(4)])
    measurer = Measurer(["a", "b", "c", "d"], RATE)

    def most_held(seconds):
        """Return the most after any second: the meters wait for pieces of different lengths."""
        held = []
        for _ in range(seconds):
            measurer.add(block, block[0])
            held.append(tracemalloc.get_traced_memory()[0])
        return max(held)

    tracemalloc.start()
    try:
        early, late = most_held(25), most_held(25)
    finally:
        tracemalloc.stop()
    assert late - early < 2**20 < 15 * block.nbytes / 4


def test_level_and_loudness():
    stem = noise(3 * RATE, level=0.1)
    found = measured(stem)
    assert found.peak == pytest.approx(20 * np.log10(np.abs(stem).max()), abs=1e-6)
    loudness, true_peak = LoudnessMeter(RATE), TruePeakMeter(RATE)
    for meter in (loudness, true_peak):
        meter.add(stem)
    assert found.loudness == pytest.approx(float(loudness.result()), abs=1e-9)
    assert found.true_peak == pytest.approx(20 * np.log10(true_peak.result()), abs=1e-6)
    assert found.true_peak > found.peak
    assert found.clipped == 0


@pytest.mark.parametrize("level", [1.0, -1.0, 32_767 / 32_768, 1.7])
@pytest.mark.parametrize("start", [0, 100, 65_534, 65_536, 99_990])
def test_samples_in_runs_at_full_scale_are_clipped(start, level):
    stem = noise(100_000, level=0.1)
    stem[0, start : start + 2] = level
    assert measured(stem).clipped == 0  # two in a row may be a peak
    stem[1, start : start + 3] = level
    assert measured(stem).clipped == 3
    stem[1, start : start + 10] = level
    assert measured(stem).clipped == 10


def test_energy_above_11_and_16_khz():
    """Tones of 5, 13 and 18 kHz, each half the amplitude of the one before: -6 dB each."""
    waves = tones(2 * RATE, RATE, (5_000.0, 13_000.0, 18_000.0)) * [[1], [0.5], [0.25]]
    stem = np.sum(waves * np.hanning(2 * RATE), axis=0, keepdims=True)
    found = measured(stem)
    assert found.above_11_khz == pytest.approx(10 * np.log10(5 / 21), abs=0.01)
    assert found.above_16_khz == pytest.approx(10 * np.log10(1 / 21), abs=0.01)
    low = measured(tones(2 * RATE, RATE, (440.0,)) * np.hanning(2 * RATE))
    assert low.above_11_khz < -90
    assert measured(noise(16_000), 16_000).above_11_khz == -np.inf  # there is nothing to be above


def test_correlation_is_that_of_all_samples():
    a, b = noise(RATE).astype(np.float64), noise(RATE, seed=2).astype(np.float64)
    stems = np.stack([a, 0.6 * a + 0.8 * b, -3 * a, b])
    found = measure(["a", "mixed", "inverted", "b"], stems, RATE).stems
    expected = np.corrcoef(stems.reshape(4, -1))
    assert found[0].correlation["mixed"] == pytest.approx(expected[0, 1], abs=1e-3)
    assert found[0].correlation["mixed"] == pytest.approx(0.6, abs=0.02)
    assert found[2].correlation["a"] == pytest.approx(-1, abs=1e-12)
    assert list(found[0].correlation) == ["mixed", "inverted", "b"]


def test_overlap_in_time_and_frequency():
    low, high = (tones(2 * RATE, RATE, (f,)) * np.hanning(2 * RATE) for f in (440.0, 3_000.0))
    early = low.copy()
    early[:, RATE:] = 0
    stems = np.stack([low, high, low + 0.5 * high, early])
    first, second, both, part = measure(["low", "high", "both", "early"], stems, RATE).stems
    assert first.overlap["high"] < 1e-6  # neither in the same frequencies
    assert first.overlap["both"] == pytest.approx(1, abs=1e-4)  # all of it could be the other's
    assert both.overlap["low"] == pytest.approx(1 / 1.25, abs=1e-3)
    assert second.overlap["both"] == pytest.approx(0.25, abs=1e-3)
    assert first.overlap["early"] == pytest.approx(0.5, abs=0.01)  # nor at the same time
    assert part.overlap["low"] == pytest.approx(1, abs=0.02)


def test_a_bleeding_stem_overlaps_more():
    a, b = noise(RATE), noise(RATE, seed=2)
    share = [
        measure(["a", "b"], np.stack([a + bleed * b, 0.1 * b]), RATE).stems[1].overlap["a"]
        for bleed in (0.0, 0.03, 0.3)
    ]
    assert share == sorted(share)


def test_the_null_residual():
    stems = np.stack([noise(RATE, seed=k) for k in (1, 2)])
    mix = stems.sum(axis=0, dtype=np.float64)
    assert measure(["a", "b"], stems, RATE).null_residual is None
    assert measure(["a", "b"], stems, RATE, mix=mix).null_residual == -np.inf
    lost = mix * (1 + 10 ** (-40 / 20))
    found = measure(["a", "b"], stems, RATE, mix=lost).null_residual
    assert found == pytest.approx(-40 - 20 * np.log10(1.01), abs=1e-6)
    silent = np.zeros_like(stems)
    assert measure(["a", "b"], silent, RATE, mix=mix).null_residual == pytest.approx(0, abs=1e-9)
    assert measure(["a", "b"], stems, RATE, mix=silent[0]).null_residual == np.inf
    assert measure(["a", "b"], silent, RATE, mix=silent[0]).null_residual == -np.inf


def test_silence_has_an_answer_to_everything():
    stems = np.stack([np.zeros((2, RATE), np.float32), noise(RATE)])
    silent, loud = measure(["silent", "loud"], stems, RATE).stems
    for value in (silent.loudness, silent.peak, silent.true_peak, silent.joins):
        assert value == -np.inf
    assert (silent.above_11_khz, silent.above_16_khz) == (-np.inf, -np.inf)
    assert np.isnan([silent.correlation["loud"], loud.correlation["silent"]]).all()
    assert np.isnan(silent.overlap["loud"])
    assert loud.overlap["silent"] == 0


@pytest.mark.parametrize("frames", [0, 1, 2, 3, 100])
def test_very_short_stems(frames):
    found = measured(np.full((2, frames), 0.5, np.float32))
    assert found.peak == (pytest.approx(-6.02, abs=0.01) if frames else -np.inf)
    assert found.joins == -np.inf
