"""Discontinuities of waveforms, against closed forms."""

import numpy as np
import pytest
from audio_files import noise, tones

from stemsplit.evaluation.joins import JoinMeter

RATE = 44_100


def joins(wave):
    """Return the largest discontinuity of ``wave`` ``(C, T)``, dB."""
    meter = JoinMeter()
    meter.add(wave)
    return float(meter.result())


def step_at(place, height=0.2, frames=200_000):
    """Return a soft tone with a step at ``place``."""
    wave = tones(frames, RATE, (220.0,)) * 0.5
    wave[0, place:] += height
    return wave


@pytest.mark.parametrize("place", [20_000, 32_767, 32_768, 32_769, 65_536, 100_000])
def test_a_step_stands_out_wherever_it_is(place):
    assert joins(step_at(place)) > 40


def test_the_step_is_measured_against_the_curvature_around_it():
    """A step of h on a tone: h against 0.25 (2π f / rate)², the most that the tone bends."""
    height = 0.01
    most = 0.25 * (2 * np.pi * 220 / RATE) ** 2
    assert joins(step_at(50_000, height)) == pytest.approx(20 * np.log10(height / most), abs=1)


def test_the_largest_step_of_all_channels_counts():
    quiet, loud = step_at(50_000, 0.01), step_at(90_000, 0.1)
    assert joins(np.concatenate([quiet, loud])) == joins(loud) > joins(quiet)


def test_neighbours_within_6_ms_hide_a_step():
    """They are what an onset of a note looks like."""
    wave = step_at(50_000)
    for place in (49_900, 50_100):
        wave[0, place:] += 0.2
    assert joins(wave) < 1
    assert joins(step_at(50_000)) > 40


def test_the_beginning_and_the_end_of_a_song_do_not_count():
    assert joins(np.full((1, 70_000), 0.5, np.float32)) == -np.inf
    assert joins(tones(70_000, RATE, (440.0,))) < 1


def test_noise_reaches_a_few_decibels():
    assert 0 < joins(noise(300_000)) < 12
