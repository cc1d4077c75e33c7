"""The Wiener filter: against the definition in numpy, and against the package it comes from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from openunmix_package import reference_package
from oracles import signal_to_difference
from torch import Tensor

from stemsplit.models import wiener as module
from stemsplit.models.wiener import wiener


def draw(
    sources: int, channels: int, bins: int, frames: int, *, level: float = 1.0, batch: int = 1
) -> tuple[Tensor, Tensor]:
    """Return magnitudes and a mixture, at random."""
    generator = torch.Generator().manual_seed(sources * 1000 + channels * 100 + bins + frames)
    shape = (batch, channels, bins, frames)
    mixture = level * torch.randn(shape, dtype=torch.complex64, generator=generator)
    shares = torch.rand(batch, sources, channels, bins, frames, generator=generator)
    return shares * mixture.abs()[:, None], mixture


def filter_in_numpy(
    magnitudes: np.ndarray, mixture: np.ndarray, *, iterations: int, residual: bool
) -> np.ndarray:
    """Return what `wiener` returns for one excerpt, bin by bin and with matrices."""
    scale = max(1.0, np.abs(mixture).max() / 10)
    x = mixture.transpose(1, 2, 0) / scale  # (F, N, C)
    y = magnitudes.transpose(0, 2, 3, 1) / scale  # (S, F, N, C)
    y = y * x / np.abs(x)
    if residual:
        y = np.concatenate([y, [x - y.sum(0)]])
    for _ in range(iterations):
        power = (np.abs(y) ** 2).mean(-1)
        outer = np.einsum("sfnc,sfnd->sfcd", y, y.conj())
        place = outer / (1e-10 + power.sum(-1))[..., None, None]
        covariance = np.einsum("sfn,sfcd->sfncd", power, place)
        whole = covariance.sum(0) + 1e-5 * np.eye(x.shape[-1])
        y = np.einsum("sfncd,fnde,fne->sfnc", covariance, np.linalg.inv(whole), x)
    return (y * scale).transpose(0, 3, 1, 2)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("iterations", [0, 1, 3])
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("level", [0.01, 100.0])
def test_it_is_the_filter_of_its_definition(
    channels: int, iterations: int, residual: bool, level: float
) -> None:
    magnitudes, mixture = draw(3, channels, 5, 40, level=level)
    options: dict[str, Any] = {"iterations": iterations, "residual": residual}
    truth = filter_in_numpy(
        magnitudes[0].numpy().astype(float), mixture[0].numpy().astype(complex), **options
    )
    ours = wiener(magnitudes, mixture, **options)
    assert ours.dtype == torch.complex64
    assert signal_to_difference(planes(torch.from_numpy(truth)), planes(ours[0])) > 130


@settings(max_examples=25, deadline=None)
@given(
    sources=st.integers(1, 4),
    channels=st.integers(1, 2),
    bins=st.integers(1, 20),
    frames=st.integers(1, 50),
    excerpt=st.integers(1, 60),
    values=st.integers(1, 500),
)
def test_blocks_change_nothing_and_excerpts_are_independent(
    sources: int, channels: int, bins: int, frames: int, excerpt: int, values: int
) -> None:
    magnitudes, mixture = draw(sources, channels, bins, frames, batch=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK_VALUES", values)
        patch.setattr(module, "EXCERPT", excerpt)
        ours = wiener(magnitudes, mixture, residual=True)
    alone = [
        wiener(m, x, residual=True)
        for m, x in zip(magnitudes.split(excerpt, -1), mixture.split(excerpt, -1), strict=True)
    ]
    assert ours.shape == (2, sources + 1, channels, bins, frames)
    assert signal_to_difference(planes(torch.cat(alone, -1)), planes(ours)) > 120


def test_sources_and_residual_are_the_mixture() -> None:
    magnitudes, mixture = draw(4, 2, 30, 500, level=20.0)
    total = wiener(magnitudes, mixture, residual=True).sum(1)
    # But for the white noise of 1e-5 that the filter takes out.
    assert signal_to_difference(planes(mixture), planes(total)) > 60


@pytest.mark.parametrize("residual", [False, True])
def test_the_same_in_both_channels_stays_finite_and_right(residual: bool) -> None:
    """The reference divides by 0 here: in single precision, the determinant is."""
    magnitudes, mixture = draw(3, 1, 20, 400, level=30.0)
    stereo = wiener(
        magnitudes.expand(-1, -1, 2, -1, -1), mixture.expand(-1, 2, -1, -1), residual=residual
    )
    mono = wiener(magnitudes, mixture, residual=residual)
    assert torch.equal(stereo[:, :, 0], stereo[:, :, 1])
    assert signal_to_difference(planes(mono), planes(stereo[:, :, :1])) > 90


@pytest.mark.parametrize("side", [1e-2, 1e-4, 1e-6])
def test_channels_that_hardly_differ(side: float) -> None:
    """The sum of covariances is nearly singular; what little is in the side signal stays right."""
    magnitudes, mixture = draw(3, 2, 5, 300, level=5.0)
    mixture[:, 1] = mixture[:, 0] + side * mixture[:, 1]
    magnitudes[:, :, 1] = magnitudes[:, :, 0] + side * magnitudes[:, :, 1]
    truth = torch.from_numpy(
        filter_in_numpy(
            magnitudes[0].double().numpy(),
            mixture[0].to(torch.complex128).numpy(),
            iterations=1,
            residual=False,
        )
    )
    ours = wiener(magnitudes, mixture)[0]
    assert signal_to_difference(planes(truth), planes(ours)) > 120
    sides = [planes(stems[:, 0] - stems[:, 1]) for stems in (truth, ours)]
    level = float(planes(truth).norm() / sides[0].norm())
    assert signal_to_difference(*sides) > 120 - 20 * np.log10(level)


def test_a_loud_song_does_not_change_others_in_its_batch() -> None:
    magnitudes, mixture = draw(3, 2, 5, 40, batch=2)
    magnitudes[0], mixture[0] = 1e6 * magnitudes[0], 1e6 * mixture[0]
    together, alone = wiener(magnitudes, mixture)[1:], wiener(magnitudes[1:], mixture[1:])
    assert signal_to_difference(planes(alone), planes(together)) > 120


def test_silence_gives_silence() -> None:
    magnitudes, mixture = draw(3, 2, 20, 40)
    mixture[..., 10:20] = 0
    for iterations in (0, 1, 2):
        separated = wiener(magnitudes, mixture, iterations=iterations, residual=True)
        assert separated.isfinite().all()
        assert (separated[..., 10:20] == 0).all()
        assert (separated[..., :10] != 0).all()


def test_gradients_are_those_of_differences() -> None:
    magnitudes, mixture = draw(2, 2, 2, 3)
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(1, 2, 2, 2, 3, dtype=torch.complex64, generator=generator)
    direction = torch.randn(magnitudes.shape, generator=generator)

    def loss(m: Tensor) -> Tensor:
        return (wiener(m, mixture) * weights).real.sum()

    magnitudes.requires_grad_()
    loss(magnitudes).backward()
    assert magnitudes.grad is not None
    with torch.no_grad():
        step = 1e-2 * direction * magnitudes
        slope = (loss(magnitudes + step) - loss(magnitudes - step)) / 2
    assert float((magnitudes.grad * step).sum()) == pytest.approx(float(slope), rel=1e-2)


def test_it_is_computed_in_single_precision_at_least() -> None:
    magnitudes, mixture = draw(3, 2, 5, 40)
    with torch.autocast("cpu", torch.bfloat16):
        half = wiener(magnitudes, mixture)
    assert torch.equal(half, wiener(magnitudes, mixture))


def test_more_channels_are_refused() -> None:
    with pytest.raises(ValueError, match="not 3"):
        wiener(*draw(2, 3, 4, 5))


@pytest.mark.network
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("options", [{}, {"residual": True}, {"iterations": 2}])
@pytest.mark.parametrize("level", [0.05, 30.0])
def test_the_numbers_are_those_of_openunmix(
    channels: int, options: dict[str, Any], level: float
) -> None:
    magnitudes, mixture = draw(4, channels, 30, 250, level=level)
    with reference_package() as openunmix:
        theirs = openunmix.filtering.wiener(
            magnitudes[0].permute(3, 2, 1, 0),
            torch.view_as_real(mixture[0].permute(2, 1, 0).contiguous()),
            **options,
        )
    truth = torch.view_as_complex(theirs.permute(4, 2, 1, 0, 3).contiguous())
    assert signal_to_difference(planes(truth), planes(wiener(magnitudes, mixture, **options))) > 100


def planes(spectrum: Tensor) -> Tensor:
    return torch.view_as_real(spectrum.resolve_conj())
