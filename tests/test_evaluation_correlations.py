"""Correlations by blocks against sums of products."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scored_stems import noise

from stemsplit.evaluation.correlations import Correlations, correlate, correlate_across


@given(st.lists(st.integers(0, 90), min_size=1, max_size=5), st.integers(1, 9))
@settings(max_examples=25, deadline=None)
def test_correlations_are_sums_of_products(pieces: list[int], lags: int) -> None:
    waves = torch.from_numpy(noise(3, sum(pieces)))
    correlations = Correlations(2, 3, lags)
    for piece in waves.split(pieces, -1):
        correlations.add(piece)
    frames = waves.shape[-1]
    for lag, found in enumerate(correlations.result()):
        later = waves[:, min(lag, frames) :]
        expected = waves[:2, : later.shape[-1]] @ later.mT
        torch.testing.assert_close(found, expected, atol=1e-9, rtol=0)


@pytest.mark.parametrize("frames", [3, 40])
def test_two_pieces_and_their_border_add_up_to_the_whole(frames: int) -> None:
    waves, lags = torch.from_numpy(noise(3, 50 + frames)), 9
    before, after = waves[:, :50], waves[:, 50:]
    across = correlate_across(before[:2, 1 - lags :], after)
    pieces = correlate(before, 2, lags) + correlate(after, 2, lags)
    torch.testing.assert_close(pieces + across, correlate(waves, 2, lags))
