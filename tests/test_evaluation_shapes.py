"""Shapes and types that every metric takes or refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scored_stems import METRICS, ROUNDED_METRICS, noise

from stemsplit.evaluation.shapes import MOST_CHANNELS, check_order


@pytest.mark.parametrize("score", METRICS)
def test_batches_tensors_and_gradients(score) -> None:
    references, estimates = noise(3, 2, 2, 3_000), noise(3, 2, 2, 3_000, seed=1)
    expected = [score(*pair) for pair in zip(references, estimates, strict=True)]
    np.testing.assert_allclose(score(references, estimates), expected, rtol=1e-9)
    tensor = torch.from_numpy(estimates).requires_grad_()
    result = score(torch.from_numpy(references), tensor)
    np.testing.assert_allclose(result.detach().numpy(), expected, rtol=1e-9)
    (gradient,) = torch.autograd.grad(result.sum(), tensor)
    step = 1e-6 * gradient / gradient.norm()
    moved = score(torch.from_numpy(references), tensor.detach() + step).sum()
    rise = float(moved - result.detach().sum())
    assert rise == pytest.approx(1e-6 * float(gradient.norm()), rel=0.05)


@pytest.mark.parametrize("score", ROUNDED_METRICS)
def test_batches_and_tensors_of_rounded_metrics(score) -> None:
    references = noise(3, 2, 2, 9_000)
    estimates = references + 2 * noise(3, 2, 2, 9_000, seed=1)
    expected = [score(*pair) for pair in zip(references, estimates, strict=True)]
    np.testing.assert_allclose(score(references, estimates), expected, rtol=1e-6)
    tensor = torch.from_numpy(estimates).requires_grad_()
    result = score(torch.from_numpy(references), tensor)
    np.testing.assert_allclose(result.detach().numpy(), expected, rtol=1e-6)
    (gradient,) = torch.autograd.grad(result.sum(), tensor)
    assert gradient.isfinite().all() and gradient.any()


def test_a_long_axis_of_channels_is_taken_for_that_of_samples() -> None:
    check_order("audio", (MOST_CHANNELS, 1))
    check_order("audio", (MOST_CHANNELS + 1, MOST_CHANNELS + 1))
    with pytest.raises(ValueError, match="seems to have samples before channels"):
        check_order("audio", (MOST_CHANNELS + 1, MOST_CHANNELS))


@pytest.mark.parametrize("score", (*METRICS, *ROUNDED_METRICS))
def test_signals_that_cannot_be_scored(score) -> None:
    wave = np.ones((2, 2, 50))
    for other, message in (
        (np.ones((2, 2, 49)), r"\(2, 2, 50\) and estimate \(2, 2, 49\) differ in shape"),
        (np.ones((2, 1, 50)), "differ in shape"),  # NumPy would broadcast it
        (np.where(np.arange(50) == 7, np.nan, wave), "not finite numbers"),
    ):
        with pytest.raises(ValueError, match=message):
            score(wave, other)
    with pytest.raises(ValueError, match="no samples"):
        score(wave[..., :0], wave[..., :0])
