"""The scores that leaderboards print: closed forms, and those of the community's trainer."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scored_stems import noise

from stemsplit.evaluation import (
    aura_mrstft,
    aura_stft,
    bleedless,
    fullness,
    k_sdr,
    l1_freq,
)
from stemsplit.evaluation.spectral_scores import BleedlessFullness

SPECTRAL = (l1_freq, aura_stft, aura_mrstft, bleedless, fullness)
#: What `msst` 0.1.0 (with auraloss 0.4.0 and librosa 0.11) gives for ``pair``.
TRAINER = {
    "bleed": (5.748987, 4.872773, 6.597126, 18.85564, 37.5288),
    "dull": (7.325379, 14.20311, 31.29007, 63.73473, 36.64716),
    "silence": (1.483015, 2.640908e-05, 0.0002083955, 100.0, 0.5244893),
}


def pair(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Return a stem ``(2, 30000)`` with a pause, and an estimate of it."""
    truth = 0.1 * noise(2, 30_000) + 0.01 * noise(2, 30_000, seed=1).cumsum(-1)
    truth[:, 12_000:18_000] = 0
    truth = truth.astype(np.float32)
    if kind == "bleed":
        other = (0.05 * noise(2, 30_000, seed=2)).astype(np.float32)
        return truth, (0.9 * truth + other).astype(np.float32)
    return truth, (truth + np.roll(truth, 1, -1)) / 2 if kind == "dull" else 0 * truth


@pytest.mark.parametrize("kind", list(TRAINER))
def test_scores_are_those_of_the_trainer(kind: str) -> None:
    found = [score(*pair(kind)) for score in SPECTRAL]
    # Rounding decides which of the nearly equal levels differ, in the trainer as well.
    assert found == pytest.approx(TRAINER[kind], rel=5e-4)


@pytest.mark.parametrize("score", SPECTRAL)
def test_a_copy_has_the_highest_score(score) -> None:
    truth, _ = pair("dull")
    assert score(truth, truth) == 100.0
    assert score(0 * truth, 0 * truth) == 100.0
    assert 0 < score(truth, 0.5 * truth + 0.01 * noise(*truth.shape)) < 100


def test_half_the_level_lacks_six_decibels_and_bleeds_nothing() -> None:
    wave = noise(2, 50_000)
    lack = 20 * math.log10(2)
    # Both are relative to their own loudest band: nothing is limited here.
    assert bleedless(wave, 0.5 * wave) == 100.0
    assert fullness(wave, 0.5 * wave) == pytest.approx(100 / (1 + lack), rel=1e-5)
    assert bleedless(0.5 * wave, wave) == pytest.approx(100 / (1 + lack), rel=1e-5)
    assert fullness(0.5 * wave, wave) == 100.0
    # Relative to the estimate the missing half is all of it, and each logarithm is off by ln 2.
    assert aura_stft(wave, 0.5 * wave) == pytest.approx(100 / (11 + 10 * math.log(2)), rel=1e-4)


def test_levels_are_limited_to_80_db_below_the_loudest() -> None:
    truth = np.zeros((1, 60_000))
    truth[:, :20_000] = noise(1, 20_000)
    estimate = truth.copy()
    estimate[:, 30_000:] += 1e-6 * noise(1, 30_000, seed=1)  # inaudible, 120 dB below
    assert bleedless(truth, estimate) == 100.0
    estimate[:, 30_000:] *= 1e4
    assert bleedless(truth, estimate) < 10.0


@pytest.mark.parametrize(
    ("decibels", "wanted"),
    [(30.0, 100.0), (10.0, 100.0), (0.0, 78.760966), (-5.0, 58.851906), (-30.0, 0.0)],
)
def test_k_sdr_of_known_ratios(decibels: float, wanted: float) -> None:
    truth = noise(2, 1_000)
    error = 10 ** (-decibels / 20) * truth[::-1]
    assert k_sdr(truth, truth + error) == pytest.approx(wanted, abs=1e-5)


def test_blocks_of_two_passes_give_what_the_whole_gives() -> None:
    truth, guess = (torch.from_numpy(signal) for signal in pair("bleed"))
    scores = BleedlessFullness(44_100)
    for take in (scores.find_peaks, scores.compare):
        for blocks in zip(truth.split(777, -1), guess.split(777, -1), strict=True):
            take(*blocks)
    wanted = bleedless(truth, guess), fullness(truth, guess)
    torch.testing.assert_close(scores.result(), wanted, rtol=1e-5, atol=0)


def test_bands_follow_the_sample_rate() -> None:
    truth, guess = pair("dull")
    assert fullness(truth, guess, 48_000) != fullness(truth, guess, 44_100)
    assert aura_mrstft(truth, guess, 96_000) > 0  # bands without a bin are left out
