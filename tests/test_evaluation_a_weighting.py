"""The filter of A-weighting: its response, its design, and blocks of any length."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal
import torch

from stemsplit.evaluation.a_weighting import GAIN, POINTS, POLES, TAPS, AWeighting, design_filter


@pytest.mark.parametrize(
    ("hertz", "decibels", "tolerance"), [(1_000, 0.0, 0.2), (3_150, 1.2, 0.1), (500, -3.2, 0.4)]
)
def test_the_response_is_that_of_the_standard(
    hertz: float, decibels: float, tolerance: float
) -> None:
    """IEC 61672-1, table 2; 101 taps are too few for lower frequencies."""
    _, response = scipy.signal.freqz(design_filter(44_100), worN=[hertz], fs=44_100)
    level = 20 * np.log10(abs(response[0]))
    assert level == pytest.approx(decibels, abs=tolerance)


@pytest.mark.parametrize("rate", [22_050, 44_100, 48_000])
def test_least_squares_are_those_of_scipy(rate: int) -> None:
    one, two, three, four = (2 * np.pi * pole for pole in POLES)
    zeros = [four**2 * 10 ** (GAIN / 20), 0, 0, 0, 0]
    poles = np.poly([-four, -four, -one, -one, -three, -two])
    digital = scipy.signal.bilinear(zeros, poles, fs=rate)
    edges, response = scipy.signal.freqz(*digital, worN=POINTS, fs=rate)
    wanted = scipy.signal.firls(TAPS, edges, abs(response), fs=rate)
    np.testing.assert_allclose(design_filter(rate), wanted, atol=1e-8)


def test_blocks_give_what_the_whole_gives() -> None:
    signal = torch.randn(2, 1_000, generator=torch.Generator().manual_seed(0)).double()
    filtering = AWeighting(44_100)
    found = [filtering.add(block) for block in signal.split(37, -1)]
    whole = torch.cat([*found, filtering.end()], -1).numpy()
    taps = design_filter(44_100)
    wanted = [np.convolve(channel, taps, "same") for channel in signal.numpy()]
    np.testing.assert_allclose(whole, wanted, atol=1e-12)
