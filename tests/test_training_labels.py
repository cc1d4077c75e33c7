"""Labels from the true sources: which of them sound, and at which pitch."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from losses import draw
from torch import Tensor

from stemsplit.training.labels import (
    activity,
    frame_levels,
    pitch_salience,
    resample_labels,
    track_pitch,
)

RATE = 16_000
RANGE = {"lowest": 32.703, "highest": 2093.0}


def tone(frequency: float | Tensor, harmonics: int, seconds: float = 0.5) -> Tensor:
    """Return a tone ``(1, 1, T)``, whose harmonics fall by 1 / n."""
    rates = torch.as_tensor(frequency, dtype=torch.float64).expand(int(RATE * seconds))
    phase = 2 * math.pi * (rates / RATE).cumsum(0)
    parts = [(n * phase).sin() / n for n in range(1, harmonics + 1)]
    return 0.2 * torch.stack(parts).sum(0).float()[None, None]


def cents(found: Tensor, true: float | Tensor) -> np.ndarray:
    return np.asarray((1200 * (found / true).log2()).abs())


def test_levels_of_a_square_wave() -> None:
    wave = torch.tensor([1.0, -1.0] * 50 + [0.1, -0.1] * 50 + [0.0, 0.0] * 50).expand(2, 2, 300)
    np.testing.assert_allclose(frame_levels(wave, 3), [[0, -20, -100]] * 2, atol=1e-4)
    assert activity(wave, 3, threshold=-30.0).tolist() == [[1, 1, 0]] * 2
    assert activity(wave, 3, threshold=-10.0).tolist() == [[1, 0, 0]] * 2


def test_frames_divide_any_length() -> None:
    assert activity(draw(2, 3, 2, 1_001), 7, -60.0).tolist() == [[[1.0] * 7] * 3] * 2
    assert activity(draw(2, 3, 2, 5), 7, -60.0).shape == (2, 3, 7)


@pytest.mark.parametrize("frequency", [41.2, 82.41, 220.0, 440.0, 987.77, 1760.0])
@pytest.mark.parametrize("harmonics", [1, 8])
def test_the_pitch_of_a_tone(frequency: float, harmonics: int) -> None:
    if harmonics * frequency > RATE / 2:
        harmonics = int(RATE / 2 / frequency)
    found = track_pitch(tone(frequency, harmonics), 20, RATE, **RANGE)[0]
    # The outermost frames are half silence.
    assert cents(found[2:-2], frequency).max() < 10


def test_the_pitch_of_a_tone_without_its_fundamental() -> None:
    whole = tone(110.0, 10) - tone(110.0, 1)
    assert cents(track_pitch(whole, 20, RATE, **RANGE)[0, 2:-2], 110.0).max() < 10


def test_the_pitch_of_a_glide() -> None:
    rates = 220 * 2 ** torch.linspace(0, 1, RATE, dtype=torch.float64)
    found = track_pitch(tone(rates, 5, seconds=1.0), 50, RATE, **RANGE)[0]
    places = (torch.arange(50) + 0.5) / 50
    assert cents(found[2:-2], 220 * 2 ** places[2:-2]).max() < 30


def test_silence_and_noise_have_no_pitch() -> None:
    assert track_pitch(torch.zeros(2, 2, 8_000), 20, RATE, **RANGE).tolist() == [[0.0] * 20] * 2
    assert track_pitch(draw(1, 1, 8_000), 20, RATE, **RANGE).count_nonzero() == 0
    assert track_pitch(1e-4 * tone(220.0, 3), 20, RATE, **RANGE).count_nonzero() == 0


def test_pitch_starts_with_the_tone() -> None:
    wave = torch.cat([torch.zeros(1, 1, 8_000), tone(220.0, 3)], -1)
    found = track_pitch(wave.expand(2, 2, -1), 40, RATE, **RANGE)
    assert (found[:, :19] == 0).all()
    assert cents(found[:, 22:-2], 220.0).max() < 10


def test_a_pitch_outside_the_range_has_none_or_another() -> None:
    found = track_pitch(tone(1760.0, 1), 20, RATE, lowest=100.0, highest=800.0)[0, 2:-2]
    assert ((found == 0) | (found <= 800)).all()


def test_salience_is_a_bell_around_the_pitch() -> None:
    pitch = torch.tensor([[100.0, 0.0, 100 * 2 ** (1 / 12), 200 * 2 ** (0.5 / 12)]])
    found = pitch_salience(pitch, lowest=100.0, bins=25, per_octave=12)[0]
    assert found.shape == (25, 4)
    assert found.argmax(0)[[0, 2]].tolist() == [0, 1]
    assert found[0, 0] == 1.0
    assert found[:, 1].tolist() == [0.0] * 25
    # Between two bins, 50 cents from each: two standard deviations.
    np.testing.assert_allclose(found[12:14, 3], [math.exp(-2)] * 2, rtol=1e-3)
    assert found[1, 0] == pytest.approx(math.exp(-8), rel=1e-3)


def test_given_labels_are_those_of_the_nearest_frame() -> None:
    labels = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    assert resample_labels(labels, 8).tolist() == [[1, 1, 2, 2, 3, 3, 4, 4]]
    assert resample_labels(labels, 2).tolist() == [[2, 4]]
    assert resample_labels(labels.expand(2, 3, 4), 4).shape == (2, 3, 4)
