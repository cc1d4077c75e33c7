"""Rounding, dither, and what does not fit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stemsplit.audio.quantise import Dither, Remainder, quantise


@settings(max_examples=50, deadline=None)
@given(step=st.integers(-(2**15), 2**15 - 1), part=st.floats(-0.49, 0.49))
def test_samples_are_rounded_to_the_nearest_step(step, part):
    sixteen, _ = quantise(np.float32([[(step + part) / 2**15]]), "16")
    assert sixteen.tolist() == [[step]]
    assert sixteen.dtype == np.int16
    exact, _ = quantise(np.float32([[step / 2**15]]), "24")
    assert exact.tolist() == [[step << 16]]


@pytest.mark.parametrize("depth", ["16", "24"])
def test_nan_becomes_silence_and_infinity_becomes_full_scale(depth):
    block = np.float32([[np.nan, np.inf, -np.inf, 3e38, 0.5]])
    before = block.copy()
    steps, clipped = quantise(block, depth)
    full = 2**15 if depth == "16" else 2**31
    top = full - 1 if depth == "16" else full - 256
    assert steps[:, 0].tolist() == [0, top, -full, top, full // 2]
    assert clipped == 3
    assert np.array_equal(block, before, equal_nan=True)


def test_clipped_samples_leave_no_remainder() -> None:
    """Another stem would be damaged by it, and would also clip."""
    stems = {"a": np.float32([[0.25, 1.5, -3.0]]), "b": np.float32([[0.3 / 2**15, 0.0, 0.0]])}
    lost = Remainder(["a", "b"], dithered=False).take(stems)
    assert (lost * 2**15 == np.float32([[0.3, 0.0, 0.0]])).all()


def test_dither_is_triangular_white_and_the_stem_s_own():
    first, again, other = (Dither(name).take(200_000, 2) for name in ("a", "a", "b"))
    assert np.array_equal(first, again)
    parts = Dither("a")
    assert np.array_equal(np.concatenate([parts.take(77, 2), parts.take(199_923, 2)]), first)
    assert np.abs(first).max() <= 1
    assert np.var(first) == pytest.approx(1 / 6, rel=0.02)
    assert np.mean(first) == pytest.approx(0, abs=0.003)
    for one, two in (
        (first[:, 0], first[:, 1]),
        (first[:, 0], other[:, 0]),
        (first[1:, 0], first[:-1, 0]),
    ):
        assert abs(np.corrcoef(one, two)[0, 1]) < 0.01


def test_dither_keeps_what_is_below_a_step():
    """A tone of a third of a step is gone after plain rounding, and there after dither."""
    tone = np.float32([np.sin(np.arange(100_000) * 0.05)]) / 2**15 / 3
    assert not quantise(tone, "16")[0].any()
    steps, _ = quantise(tone, "16", Dither("a"))
    assert np.sum(steps[:, 0] * tone[0]) / np.sum(tone**2) / 2**15 == pytest.approx(1, abs=0.05)
