"""Losses of spectra, of a network's own and at several resolutions, against closed forms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from losses import chimera, draw, value
from torch import Tensor

from stemsplit.errors import UsageError
from stemsplit.evaluation import mrstft
from stemsplit.models import build
from stemsplit.models.base import SeparationModel
from stemsplit.training.losses import make_loss
from stemsplit.training.losses.stft import spectrum

SMALL_UNET: dict[str, Any] = {
    "sources": ["vocals", "drums"],
    "sample_rate": 8192,
    "n_fft": 64,
    "hop": 48,
    "bins": 32,
    "block": 8,
    "widths": [2, 4],
}


def rows_of(waves: Tensor, n_fft: int, hop: int, window: np.ndarray) -> np.ndarray:
    """Return the spectra ``(..., N, F)`` of ``waves`` ``(..., T)``, frame by frame in numpy."""
    edges = [(0, 0)] * (waves.dim() - 1) + [(n_fft // 2, n_fft // 2)]
    padded = np.pad(waves.double().numpy(), edges, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft, axis=-1)[..., ::hop, :]
    return np.asarray(np.fft.rfft(frames * window))


def hann(size: int, n_fft: int) -> np.ndarray:
    """Return a periodic Hann window in the middle of ``n_fft`` samples."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    before = (n_fft - size) // 2
    return np.pad(window, (before, n_fft - size - before))


@pytest.mark.parametrize("compare", ["complex", "parts", "magnitudes"])
def test_stft_l1_is_the_sum_over_its_windows(compare: str) -> None:
    sources, estimates = draw(2, 2, 2, 500), draw(2, 2, 2, 500, seed=1)
    expected = 0.0
    for size in (128, 32):
        n_fft = max(size, 64)
        guess, true = (rows_of(w, n_fft, 16, hann(size, n_fft)) for w in (estimates, sources))
        difference = guess - true
        expected += {
            "complex": np.abs(difference).mean(),
            "parts": (np.abs(difference.real) + np.abs(difference.imag)).mean(),
            "magnitudes": np.abs(np.abs(guess) - np.abs(true)).mean(),
        }[compare]
    table = {"windows": [128, 32], "hop": 16, "least_fft": 64, "compare": compare}
    found = value({"name": "stft_l1", **table}, estimates, sources)
    assert found == pytest.approx(expected, rel=1e-5)


def test_time_l1_and_stft_l1_are_two_tables() -> None:
    sources, estimates = draw(2, 2, 2, 500), draw(2, 2, 2, 500, seed=1)
    stft = {"name": "stft_l1", "windows": [128], "hop": 32, "least_fft": 128}
    both = value([{"name": "l1"}, {**stft, "weight": 0.3}], estimates, sources)
    expected = value({"name": "l1"}, estimates, sources) + 0.3 * value(stft, estimates, sources)
    assert both == pytest.approx(float(expected), rel=1e-6)


def test_stft_rmse_is_that_of_scnet() -> None:
    """A root for each item and source, no window, frames divided by the root of their length."""
    sources, estimates = draw(2, 2, 2, 500), draw(2, 2, 2, 500, seed=1)
    difference = rows_of(estimates - sources, 64, 16, np.ones(64)) / 8
    squares = np.stack([difference.real**2, difference.imag**2])
    expected = np.sqrt(squares.mean((0, 3, 4, 5))).mean()
    found = value({"name": "stft_rmse", "n_fft": 64, "hop": 16}, estimates, sources)
    assert found == pytest.approx(expected, rel=1e-5)


def test_the_multi_resolution_loss_of_an_item_is_the_metric() -> None:
    sources = draw(1, 2, 2, 6_000)
    estimates = 0.9 * sources + 0.3 * draw(1, 2, 2, 6_000, seed=1)
    pairs = zip(sources[0], estimates[0], strict=True)
    expected = np.mean([mrstft(true, guess) for true, guess in pairs])
    found = value({"name": "multi_resolution_stft"}, estimates, sources)
    assert found == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize(
    ("part", "expected"), [("convergence", 0.5), ("log", math.log(2)), ("linear", None)]
)
def test_parts_of_the_multi_resolution_loss_of_half_the_level(
    part: str, expected: float | None
) -> None:
    sources = draw(2, 2, 1, 6_000)
    table: dict[str, Any] = {"name": "multi_resolution_stft", "convergence": 0, "log": 0, part: 1}
    if expected is None:
        sizes = ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240))
        means = [spectrum(sources, *size).abs().mean() for size in sizes]
        expected = 0.5 * float(torch.stack(means).mean())
    assert value(table, 0.5 * sources, sources) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("turn", "expected"), [(0.0, 0.0), (0.5, 1.0), (1.0, 2.0), (1.5, 1.0)])
def test_the_phase_part_is_1_minus_the_cosine(turn: float, expected: float) -> None:
    """Of a turn in units of pi; the level of the estimate does not matter."""
    steps = 2 * math.pi * 0.05 * torch.arange(8_000)
    sources = steps.cos().expand(1, 2, 1, -1)
    estimates = 3 * (steps + turn * math.pi).cos().expand(1, 2, 1, -1)
    table = {"name": "multi_resolution_stft", "convergence": 0, "log": 0, "phase": 1}
    assert value(table, estimates, sources) == pytest.approx(expected, abs=0.03)


def test_a_silent_excerpt_does_not_outweigh_the_others() -> None:
    sources = draw(2, 2, 1, 6_000)
    sources[1] = 0
    estimates = sources + 0.01 * draw(2, 2, 1, 6_000, seed=1)
    table = {"name": "multi_resolution_stft", "log": 0}
    assert 0.01 < value(table, estimates, sources) < 0.02


@pytest.fixture(scope="module")
def network() -> SeparationModel:
    return chimera()


def own_spectra(network: SeparationModel, sources: Tensor) -> tuple[Tensor, Tensor]:
    """Return the true magnitudes ``(B, S, C, F, N)`` and the spectrum of the mixture."""
    return network.transform(sources).abs(), network.transform(sources.sum(1))  # type: ignore[operator]


@pytest.mark.parametrize(("distance", "expected"), [("l1", 0.3), ("l2", 0.09)])
def test_magnitudes_off_by_a_constant(
    network: SeparationModel, distance: str, expected: float
) -> None:
    sources = draw(2, 2, 1, 300)
    magnitudes = own_spectra(network, sources)[0] + 0.3
    table = {"name": "magnitude", "distance": distance}
    found = value(table, sources, sources, network, magnitudes=magnitudes)
    assert found == pytest.approx(expected, rel=1e-4)


def test_magnitudes_in_another_order(network: SeparationModel) -> None:
    sources = draw(2, 2, 1, 300)
    magnitudes = own_spectra(network, sources)[0].flip(1)
    table = {"name": "magnitude", "permuted": True}
    assert value(table, sources, sources, network, magnitudes=magnitudes) == 0.0


@pytest.mark.parametrize(
    ("gain", "limit", "expected"),
    [(0.4, 1.0, 0.4), (-0.4, 1.0, 0.0), (3.0, 1.0, 1.0), (3.0, 2.0, 2.0), (3.0, 4.0, 3.0)],
)
def test_a_source_in_phase_with_the_mixture(
    network: SeparationModel, gain: float, limit: float, expected: float
) -> None:
    """The target is the part of the mixture that a mask from 0 to ``limit`` can give."""
    mix = draw(2, 1, 300)
    sources = torch.stack([gain * mix, (1 - gain) * mix], dim=1)
    levels = own_spectra(network, sources)[1].abs()
    magnitudes = torch.stack([expected * levels, 0 * levels], dim=1)
    table = {"name": "phase_sensitive", "limit": limit, "stems": {"vocals": 1}}
    found = value(table, sources, sources, network, magnitudes=magnitudes)
    assert found == pytest.approx(0.0, abs=1e-6)


def test_a_source_across_the_phase_of_the_mixture_has_the_cosine(network: SeparationModel) -> None:
    sources = draw(1, 2, 1, 300)
    true, mixture = own_spectra(network, sources)
    spectra = network.transform(sources)  # type: ignore[operator]
    cosine = (spectra.angle() - mixture.angle()[:, None]).cos()
    targets = (true * cosine).clamp(min=0).minimum(mixture.abs()[:, None])
    assert 0.05 < float((targets == 0).float().mean()) < 0.5
    magnitudes = targets + 0.25
    found = value({"name": "phase_sensitive"}, sources, sources, network, magnitudes=magnitudes)
    assert found == pytest.approx(0.25, rel=1e-4)


@pytest.mark.parametrize("arrangement", ["separate", "joint", "conditioned"])
def test_a_unet_compares_the_bins_of_its_masks(arrangement: str) -> None:
    model = build("unet:UNet", {**SMALL_UNET, "arrangement": arrangement}).eval()
    sources = draw(2, 2, 1, model.segment)
    outputs = model.training_outputs(sources.sum(1))
    total, _ = make_loss([{"name": "magnitude"}], model)(outputs, sources, sources.sum(1))
    true = model.transform(sources).abs()[..., :32, :]  # type: ignore[operator]
    expected = float((outputs["magnitudes"] - true).abs().mean().detach())
    assert total.detach() == pytest.approx(expected, rel=1e-5)
    total.backward()
    assert all(weight.grad is not None for weight in model.parameters())


PERCEPTUAL = {"name": "perceptual", "network": "tiny.unet", "layers": ["networks.0.down.0"]}


def test_features_of_a_frozen_network(network: SeparationModel) -> None:
    sources = draw(1, 2, 1, 12_000)
    loss = make_loss([PERCEPTUAL], network)
    estimates = (sources + 0.1 * draw(1, 2, 1, 12_000, seed=1)).requires_grad_()
    assert value(PERCEPTUAL, sources, sources, network) == 0.0
    near, far = (
        loss({"sources": sources + (estimates - sources) * gain}, sources, sources.sum(1))[0]
        for gain in (0.1, 1.0)
    )
    assert 0 < near < far
    far.backward()
    assert estimates.grad is not None and estimates.grad.abs().amin((2, 3)).gt(0).any()
    assert list(loss.parameters()) == [] and list(loss.state_dict()) == []
    frozen = loss.terms["perceptual"]._frozen[0]  # type: ignore[union-attr, index]
    assert all(weight.grad is None for weight in frozen.parameters())


def test_the_perceptual_loss_is_the_relative_difference_of_its_layers(
    network: SeparationModel,
) -> None:
    from stemsplit.checkpoints import loading

    layers = ["networks.0.down.0", "networks.0.up.0"]
    sources, estimates = draw(1, 2, 1, 12_000), draw(1, 2, 1, 12_000, seed=1)
    frozen = loading.load("tiny.unet").eval()
    found: dict[str, list[Tensor]] = {layer: [] for layer in layers}
    for layer in layers:
        frozen.get_submodule(layer).register_forward_hook(
            lambda _module, _inputs, output, layer=layer: found[layer].append(output)
        )
    with torch.no_grad():
        for wave in (estimates, sources):
            for source in wave[0]:
                frozen(source[None])
    ratios = [
        (guess - true).abs().mean() / true.abs().mean()
        for guesses_and_truths in found.values()
        for guess, true in zip(guesses_and_truths[:2], guesses_and_truths[2:], strict=True)
    ]
    expected = float(torch.stack(ratios).mean())
    total = value({**PERCEPTUAL, "layers": layers}, estimates, sources, network)
    assert total == pytest.approx(expected, rel=1e-3)


def test_an_unknown_layer_is_refused_with_some_that_there_are(network: SeparationModel) -> None:
    with pytest.raises(UsageError, match=r"tiny\.unet has no layer 'down\.0'") as caught:
        make_loss([{**PERCEPTUAL, "layers": ["down.0"]}], network)
    assert caught.value.hint is not None and "networks.0" in caught.value.hint


def test_an_unknown_network_is_refused(network: SeparationModel) -> None:
    with pytest.raises(UsageError, match="loss 'perceptual': "):
        make_loss([{**PERCEPTUAL, "network": "nosuch"}], network)


def test_stereo_is_mixed_down_for_a_frozen_network_of_one_channel() -> None:
    model = chimera(channels=2)
    sources, estimates = draw(1, 2, 2, 12_000), draw(1, 2, 2, 12_000, seed=1)
    stereo = value(PERCEPTUAL, estimates, sources, model)
    mono = value(PERCEPTUAL, *(w.mean(2, keepdim=True) for w in (estimates, sources)), chimera())
    assert stereo == pytest.approx(float(mono), rel=1e-5)
