"""Scores against closed forms."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemsplit.evaluation.metrics import EPSILON, global_sdr, si_sdr


def sines(frames: int = 4_000) -> tuple[np.ndarray, np.ndarray]:
    """Return two orthogonal waves ``(2, T)`` of energy T each: a sine and a cosine a channel."""
    turns = 2 * np.pi * np.arange(frames) * 5 / frames
    return (
        np.stack([np.sin(turns), np.sin(2 * turns)]),
        np.stack([np.cos(turns), np.cos(2 * turns)]),
    )


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


@pytest.mark.parametrize("score", [global_sdr, si_sdr])
def test_other_lengths_are_refused(score: type) -> None:
    with pytest.raises(ValueError, match=r"\(2, 10\) and estimate \(2, 11\)"):
        score(np.ones((2, 10)), np.ones((2, 11)))
    with pytest.raises(ValueError, match="differ in shape"):
        score(np.ones((2, 10)), np.ones((1, 10)))  # numpy would broadcast it
