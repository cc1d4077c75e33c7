"""All scalar metrics at once, by blocks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scored_stems import METRICS, noise

from stemsplit.evaluation import (
    ScalarScores,
    aura_mrstft,
    aura_stft,
    k_sdr,
    l1_freq,
    mrstft,
)


@settings(max_examples=6, deadline=None)
@given(frames=st.integers(1, 9_000), blocks=st.integers(300, 3_000))
def test_blocks_give_what_the_whole_gives(frames: int, blocks: int) -> None:
    references = noise(2, 2, frames)
    estimates = 0.8 * references + 0.1 * references[::-1] + 0.1 * noise(2, 2, frames, seed=1)
    scores = ScalarScores(44_100)
    for start in range(0, frames, blocks):
        piece = slice(start, start + blocks)
        scores.add(references[..., piece], estimates[..., piece])
    found = scores.result()
    for score in (*METRICS, k_sdr):
        # Those of spectra are computed in float32.
        tolerance = 1e-5 if score in (mrstft, l1_freq, aura_stft, aura_mrstft) else 1e-9
        np.testing.assert_allclose(
            getattr(found, score.__name__), score(references, estimates), rtol=tolerance
        )


def test_the_stft_distance_in_single_precision() -> None:
    """`ScalarScores` uses float32 where `mrstft` uses float64, with nearly the same result."""
    references = noise(2, 2, 30_000) * np.array([0.3, 1e-5])[:, None, None]
    estimates = 0.9 * references + 0.05 * references[::-1]
    scores = ScalarScores()
    scores.add(references, estimates)
    found, wanted = scores.result().mrstft, mrstft(references, estimates)
    assert found == pytest.approx(wanted, rel=1e-6)
    assert list(found) != list(np.asarray(wanted))


def test_without_audio_there_is_no_result() -> None:
    with pytest.raises(ValueError, match="no audio to score"):
        ScalarScores().result()
