"""Loudness and true peak: closed forms of the standards, and ffmpeg's filter beside them."""

import re
from itertools import pairwise

import numpy as np
import pytest
import soundfile
from audio_files import noise, run_ffmpeg
from hypothesis import given, settings
from hypothesis import strategies as st

from stemsplit.evaluation.loudness import (
    HIGH_PASS,
    SHELF,
    LoudnessMeter,
    TruePeakMeter,
    at_rate,
)


def integrated_loudness(audio, sample_rate):
    """Return the loudness of ``audio`` ``(C, T)`` in LUFS."""
    meter = LoudnessMeter(sample_rate)
    meter.add(audio)
    return float(meter.result())


def true_peak(audio, sample_rate):
    """Return the true peak of ``audio`` ``(C, T)``; full scale is 1."""
    meter = TruePeakMeter(sample_rate)
    meter.add(audio)
    return float(meter.result())


def sine(level, seconds, sample_rate=48_000, frequency=1_000.0, channels=2, phase=0.0):
    """Return a sine of ``level`` dBFS on all channels, ``(C, T)``."""
    times = np.arange(round(seconds * sample_rate)) / sample_rate
    wave = 10 ** (level / 20) * np.sin(2 * np.pi * frequency * times + phase)
    return np.tile(wave, (channels, 1))


def decibel(value):
    return 20 * np.log10(value)


def of_ffmpeg(path, audio, sample_rate):
    """Return the integrated loudness and the highest true peak (dB) that ffmpeg measures."""
    soundfile.write(path, audio.T, sample_rate, subtype="DOUBLE")
    words = ("-af", "ebur128=peak=true:metadata=1,ametadata=print:file=-", "-f", "null", "-")
    report = run_ffmpeg("-i", f"file:{path}", *words).decode()
    peaks = re.findall(r"true_peaks_ch\d=(\S+)", report)
    return float(re.findall(r"r128\.I=(\S+)", report)[-1]), decibel(max(map(float, peaks)))


def test_a_full_sine_in_one_channel_is_3_01_below_zero():
    """BS.1770-5, annex 1: "If a 0 dB FS, 997 Hz sine wave is applied to the left input …"."""
    one = np.concatenate([sine(0, 5, frequency=997, channels=1), np.zeros((1, 240_000))])
    assert integrated_loudness(one, 48_000) == pytest.approx(-3.01, abs=0.001)
    assert integrated_loudness(one[:1], 48_000) == pytest.approx(-3.01, abs=0.001)
    both = sine(0, 5, frequency=997)
    assert integrated_loudness(both, 48_000) == pytest.approx(0.0, abs=0.001)


#: EBU Tech 3341, table 1: pieces of a stereo sine of 1 kHz (dBFS, s), and the loudness, ± 0.1.
CASES = {
    1: ([(-23, 20)], -23),
    2: ([(-33, 20)], -33),
    3: ([(-36, 10), (-23, 60), (-36, 10)], -23),
    4: ([(-72, 10), (-36, 10), (-23, 60), (-36, 10), (-72, 10)], -23),
    5: ([(-26, 20), (-20, 20.1), (-26, 20)], -23),
}


@pytest.mark.parametrize("sample_rate", [44_100, 48_000])
@pytest.mark.parametrize("case", CASES)
def test_cases_of_the_ebu(case, sample_rate):
    pieces, loudness = CASES[case]
    audio = np.concatenate([sine(level, length, sample_rate) for level, length in pieces], axis=1)
    assert integrated_loudness(audio, sample_rate) == pytest.approx(loudness, abs=0.03)


def test_the_filters_are_the_standards_own_at_48_khz():
    for numerator, denominator in (SHELF, HIGH_PASS):
        above, below = at_rate(numerator, denominator, 48_000)
        np.testing.assert_allclose(above, numerator, rtol=1e-12)
        np.testing.assert_allclose(below, denominator, rtol=1e-12)


@pytest.mark.parametrize("sample_rate", [44_100, 48_000, 96_000])
def test_the_weighting_is_that_of_the_filters_run_sample_by_sample(sample_rate):
    scipy_signal = pytest.importorskip("scipy.signal")
    audio = noise(2 * sample_rate, 1, level=0.3) + 0.2  # with a constant, which must vanish
    weighted = audio.astype(np.float64)
    for numerator, denominator in (SHELF, HIGH_PASS):
        weighted = scipy_signal.lfilter(*at_rate(numerator, denominator, sample_rate), weighted)
    energy = np.cumsum(weighted[0] ** 2)
    step = sample_rate // 10
    blocks = [np.mean(weighted[0, k * step : (k + 4) * step] ** 2) for k in range(17)]
    expected = -0.691 + 10 * np.log10(np.mean(blocks))
    assert energy[-1] > 0
    assert integrated_loudness(audio, sample_rate) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("frequency", [40, 300, 997, 5_000, 12_000])
@pytest.mark.parametrize("sample_rate", [44_100, 96_000])
def test_the_same_tone_is_as_loud_at_any_rate(sample_rate, frequency):
    found = integrated_loudness(sine(-20, 3, sample_rate, frequency), sample_rate)
    standard = integrated_loudness(sine(-20, 3, 48_000, frequency), 48_000)
    assert found == pytest.approx(standard, abs=0.03)


@pytest.mark.parametrize("sample_rate", [44_100, 48_000])
def test_as_ffmpeg_measures_it(tmp_path, sample_rate):
    """ffmpeg sorts loudness into bins of 0.01 LU; at other rates it shifts the high-pass."""
    generator = np.random.default_rng(3)
    swell = 0.02 + np.abs(np.sin(np.arange(8 * sample_rate) / sample_rate))
    audio = 0.2 * swell * noise(8 * sample_rate, seed=4, level=1)
    audio[1] *= 0.3
    audio[:, 3 * sample_rate : 4 * sample_rate] = 1e-5 * generator.standard_normal(sample_rate)
    loudness, peak = of_ffmpeg(tmp_path / "a.wav", audio, sample_rate)
    assert integrated_loudness(audio, sample_rate) == pytest.approx(loudness, abs=0.011)
    assert decibel(true_peak(audio, sample_rate)) == pytest.approx(peak, abs=0.05)


def test_silence_and_what_lies_below_the_gate():
    assert integrated_loudness(np.zeros((2, 48_000)), 48_000) == -np.inf
    assert integrated_loudness(sine(-75, 3), 48_000) == -np.inf
    assert LoudnessMeter(48_000).result() == -np.inf
    assert integrated_loudness(np.zeros((2, 0)), 48_000) == -np.inf


def test_what_is_shorter_than_a_block_is_measured_as_a_whole():
    assert integrated_loudness(sine(-20, 0.3), 48_000) == pytest.approx(-20, abs=0.15)


@pytest.mark.parametrize("sample_rate", [8_000, 22_050, 44_100, 48_000, 96_000])
def test_the_peak_between_samples(sample_rate):
    """A sine at a quarter of the rate, 45° off: its samples are at 0.707 and it reaches 1."""
    wave = sine(0, 1, sample_rate, sample_rate / 4, phase=np.pi / 4)
    wave *= np.hanning(wave.shape[1])
    assert np.abs(wave).max() == pytest.approx(np.sqrt(0.5), abs=1e-3)
    assert decibel(true_peak(wave, sample_rate)) == pytest.approx(0, abs=0.01)


def test_the_peak_at_a_sample_and_at_both_ends():
    spike = np.zeros((2, 1_000))
    for place in (0, 500, 999):
        spike[:] = 0
        spike[1, place] = -0.9
        assert true_peak(spike, 44_100) == pytest.approx(0.9, abs=1e-6)
    # Two ends of a wave that is cut at its slope rise over their samples, in silence.
    assert true_peak(np.full((1, 64), 0.5), 44_100) > 0.55
    assert true_peak(np.zeros((2, 0)), 44_100) == 0


@settings(max_examples=8, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 70_000), max_size=6),
    sample_rate=st.sampled_from([8_000, 11_025, 44_100, 48_000]),
)
def test_the_sizes_of_blocks_do_not_matter(sizes, sample_rate):
    frames = 100_003
    audio = np.stack([noise(frames, level=0.3), noise(frames, level=0.05, seed=2)])
    bounds = [0, *np.minimum(np.cumsum(sizes), frames).astype(int), frames]
    whole, parts = [], []
    for meter in (LoudnessMeter(sample_rate), TruePeakMeter(sample_rate)):
        meter.add(audio)
        whole.append(meter.result())
    for meter in (LoudnessMeter(sample_rate), TruePeakMeter(sample_rate)):
        for start, end in pairwise(bounds):
            meter.add(audio[..., start:end])
        parts.append(meter.result())
    np.testing.assert_array_equal(np.array(whole), np.array(parts))
    # Stems that are measured together are measured alike.
    assert whole[0][1] == pytest.approx(integrated_loudness(audio[1], sample_rate), abs=1e-9)
    assert whole[1][1] == pytest.approx(true_peak(audio[1], sample_rate), rel=1e-6)
