"""Filtering by blocks against convolution."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scored_stems import noise

from stemsplit.evaluation.filtering import FirFilter


@settings(max_examples=20, deadline=None)
@given(samples=st.integers(1, 300), block=st.integers(1, 90), ringing=st.integers(0, 8))
def test_blocks_are_convolved_with_the_taps(samples: int, block: int, ringing: int) -> None:
    signal, taps = noise(2, samples), noise(9)
    filtering = FirFilter(taps, 32)
    found = [filtering.add(part) for part in torch.from_numpy(signal).split(block, -1)]
    whole = torch.cat([*found, filtering.end(ringing)], -1)
    wanted = [np.convolve(channel, taps)[: samples + ringing] for channel in signal]
    np.testing.assert_allclose(whole, wanted, atol=1e-12)


def test_nothing_cannot_end() -> None:
    with pytest.raises(AssertionError, match="nothing was added"):
        FirFilter(np.ones(3), 16).end(0)
