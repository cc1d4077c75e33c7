"""The building blocks of synthesis, against closed forms."""

import numpy as np
import pytest

from stemsplit.data.waveforms import convolve, gain, hertz, hiss, pan, place, reverberate


def test_decibels_and_pitches() -> None:
    assert gain(-6.0206) == pytest.approx(0.5, abs=1e-5)
    assert hertz(69.0) == 440.0
    assert hertz(np.array([57.0, 81.0])) == pytest.approx([220.0, 880.0])


@pytest.mark.parametrize("side", [-1.0, -0.3, 0.0, 1.0])
def test_panning_keeps_the_power(side: float) -> None:
    (left,), (right,) = pan(np.array([2.0]), side)
    assert left**2 + right**2 == pytest.approx(4.0)
    assert (right - left) * side > 0 or right == pytest.approx(left)


def test_noise_lies_in_its_band_at_its_level() -> None:
    noise = hiss(np.random.default_rng(0), 1.0, 2_000, 4_000, 44_100)
    assert np.mean(noise**2) == pytest.approx(1.0)
    power = np.abs(np.fft.rfft(noise)) ** 2
    assert power[1_000:8_000].sum() / power.sum() > 0.98


def test_what_lies_outside_of_a_track_is_cut() -> None:
    track = np.zeros(6)
    for start in (-0.2, 0.5, 9.0):
        place(track, start, np.array([1.0, 2.0, 3.0]), 10)
    assert track.tolist() == [3.0, 0.0, 0.0, 0.0, 0.0, 1.0]


def test_convolution_and_the_decay_of_a_room() -> None:
    sound, kernel = np.random.default_rng(0).standard_normal((2, 50))
    np.testing.assert_allclose(convolve(sound, kernel), np.convolve(sound, kernel)[:50], atol=1e-12)
    impulse = np.zeros((2, 44_100))
    impulse[:, 0] = 1.0
    tail = reverberate(impulse, np.random.default_rng(0), 44_100, decay=0.8, level=-10) - impulse
    assert np.sum(tail**2, axis=-1) == pytest.approx([0.1, 0.1], rel=1e-6)
    early, late = (np.mean(tail[:, start : start + 4_410] ** 2) for start in (4_410, 22_050))
    assert 10 * np.log10(early / late) == pytest.approx(30, abs=1)  # 0.4 s of 60 dB in 0.8 s
