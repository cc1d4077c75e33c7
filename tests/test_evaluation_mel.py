"""Bands of the mel scale: on values, and against those of another package."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stemsplit.evaluation.mel import MelFilters


def weights(rate: int, transform: int, bands: int) -> np.ndarray:
    """Return the bands ``(M, F)`` as the filters apply them to each bin."""
    return MelFilters(rate, transform, bands)(torch.eye(transform // 2 + 1).double()).numpy().T


def test_bands_are_triangles_of_one_area() -> None:
    found = weights(44_100, 4_096, 512)
    assert found.shape == (512, 2_049) and found.min() == 0
    np.testing.assert_allclose(found[300:].sum(1) * 44_100 / 4_096, 1.0, rtol=0.05)
    assert (found > 0).sum(0).max() == 2  # they overlap by half


def test_bands_without_a_bin_are_left_out() -> None:
    assert MelFilters(44_100, 1_024, 128).bands == 128
    found = weights(96_000, 1_024, 128)
    assert len(found) == 121 and found.any(axis=1).all()


@pytest.mark.parametrize(
    ("band", "bin_", "height", "bins", "total"),
    [
        (0, 1, 0.079398014, 1, 0.079398014),
        (100, 73, 0.104185365, 1, 0.104185365),
        (300, 372, 0.026306888, 6, 0.092889793),
        (511, 2_032, 0.0055473634, 33, 0.092834957),
    ],
)
def test_librosa_has_the_same(band: int, bin_: int, height: float, bins: int, total: float) -> None:
    """The figures are those of ``librosa.filters.mel`` 0.11, float32."""
    row = weights(44_100, 4_096, 512)[band]
    assert (int(row.argmax()), int((row > 0).sum())) == (bin_, bins)
    assert (row.max(), row.sum()) == pytest.approx((height, total), rel=1e-6)
