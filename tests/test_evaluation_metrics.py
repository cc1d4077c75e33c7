"""Metrics against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scored_stems import noise

from stemsplit.evaluation import (
    global_sdr,
    l1,
    projections,
    si_sar,
    si_sdr,
    si_sir,
)
from stemsplit.evaluation.metrics import EPSILON


def sines(frames: int = 4_000) -> tuple[np.ndarray, np.ndarray]:
    """Return two orthogonal waves ``(2, T)`` of energy T each: a sine and a cosine a channel."""
    turns = 2 * np.pi * np.arange(frames) * 5 / frames
    return (
        np.stack([np.sin(turns), np.sin(2 * turns)]),
        np.stack([np.cos(turns), np.cos(2 * turns)]),
    )


def orthogonal(count: int, frames: int = 4_000) -> np.ndarray:
    """Return waves ``(count, 2, T)`` of energy T each, orthogonal to each other."""
    turns = 2 * np.pi * np.arange(frames) / frames
    return np.stack([[np.sin((5 + k) * turns), np.cos((5 + k) * turns)] for k in range(count)])


@given(st.floats(-40, 40))
def test_orthogonal_noise_scores_its_own_level(level: float) -> None:
    song, noise = sines()
    estimate = song + noise * 10 ** (-level / 20)
    assert global_sdr(song, estimate) == pytest.approx(level, abs=1e-5)
    assert si_sdr(song, estimate) == pytest.approx(level, abs=1e-5)


@given(st.floats(0.01, 10).filter(lambda factor: abs(factor - 1) > 0.01))
def test_a_scaled_copy(factor: float) -> None:
    song, noise = sines()
    assert global_sdr(song, factor * song) == pytest.approx(
        -20 * math.log10(abs(1 - factor)), abs=1e-5
    )
    # Scaled noise is as far away as noise: the scale of the estimate does not count.
    assert si_sdr(song, factor * (song + 0.1 * noise)) == pytest.approx(20, abs=1e-5)


def test_the_energies_of_all_channels_are_summed_before_the_ratio() -> None:
    song = np.array([[3.0, 0.0], [0.0, 1.0]])
    estimate = np.array([[2.0, 0.0], [0.0, 1.0]])
    assert global_sdr(song, estimate) == pytest.approx(10.0, abs=1e-5)  # (9 + 1) / 1


def test_silence_has_defined_scores() -> None:
    song, noise = sines()
    silence = np.zeros_like(song)
    assert global_sdr(silence, silence) == 0.0
    assert global_sdr(song, silence) == 0.0
    assert global_sdr(silence, noise) == pytest.approx(10 * math.log10(EPSILON / 4_000), abs=1e-6)
    assert global_sdr(song, song) == pytest.approx(10 * math.log10(4_000 / EPSILON), abs=1e-5)
    assert math.isnan(si_sdr(silence, noise))
    assert math.isnan(si_sdr(silence, silence))
    assert si_sdr(song, silence) == -math.inf
    assert si_sdr(song, 0.5 * song) == math.inf


def test_float32_sums_lose_nothing() -> None:
    """Ten minutes of float32 at 60 dB: a sum in float32 would be off by more than this."""
    song = np.full((2, 1_000_000), 0.1, np.float32)
    estimate = song * np.float32(1.001)
    truth = 20 * math.log10(0.1 / (float(estimate[0, 0]) - float(song[0, 0])))
    assert global_sdr(song, estimate) == pytest.approx(truth, abs=1e-4)


@given(st.floats(-30, 30), st.floats(-30, 30), st.floats(0.1, 5))
def test_each_part_has_its_own_ratio(leakage: float, artifacts: float, gain: float) -> None:
    first, second, artifact = orthogonal(3)
    inter, art = 10 ** (-leakage / 20), 10 ** (-artifacts / 20)
    references = np.stack([first, second])
    estimates = np.stack([gain * (first + inter * second + art * artifact), second])
    assert si_sir(references, estimates)[0] == pytest.approx(leakage, abs=1e-6)
    assert si_sar(references, estimates)[0] == pytest.approx(artifacts, abs=1e-6)
    found = projections(references, estimates)
    whole = -10 * math.log10(inter**2 + art**2)
    assert found.sdr[0] == pytest.approx(whole, abs=1e-6)
    assert found.sdr[0] == pytest.approx(si_sdr(first, estimates[0]), abs=1e-6)
    assert found.sir[0] == pytest.approx(leakage, abs=1e-6)
    assert found.sar[0] == pytest.approx(10 * math.log10((1 + inter**2) / art**2), abs=1e-6)
    assert [found.sdr[1], found.sir[1], found.sar[1]] == [math.inf] * 3


def test_correlated_references_share_what_they_explain() -> None:
    first, second, _ = orthogonal(3)
    references = np.stack([first, first + second])
    # The sum of both references: 1.5 of the second's energy is its own, 0.5 the first adds.
    estimates = np.stack([first, 2 * first + second])
    assert si_sir(references, estimates)[1] == pytest.approx(10 * math.log10(4.5 / 0.5), abs=1e-9)
    assert si_sar(references, estimates)[1] == math.inf
    twins = np.stack([first, first])  # no sum of them is more than either
    assert si_sir(twins, twins + 0.1 * second).tolist() == [math.inf, math.inf]
    assert si_sar(twins, twins + 0.1 * second) == pytest.approx(20, abs=1e-9)


def test_silence_and_single_sources_have_defined_scores() -> None:
    first, second = orthogonal(2)
    silence = np.zeros_like(first)
    for score in (si_sir, si_sar):
        assert np.isnan(score([silence, second], [first, second])[0])
        assert score(np.stack([first, second]), np.stack([silence, second]))[0] == -math.inf
    assert si_sir(first[None], first[None] + 0.1 * second[None])[0] == math.inf
    assert si_sar(first[None], first[None] + 0.1 * second[None])[0] == pytest.approx(20)


def test_l1_is_the_mean_difference() -> None:
    wave = noise(2, 5_000)
    assert l1(wave, wave + 0.25) == pytest.approx(0.25)
