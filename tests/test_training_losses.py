"""What holds for every term of a loss, and how a recipe names them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from losses import chimera, draw, shares
from torch import Tensor
from torch.autograd import gradcheck

from stemsplit.errors import UsageError
from stemsplit.models.base import SeparationModel
from stemsplit.training.losses import TERMS, make_loss

#: Each term for the network of ``chimera``, and by which of its outputs it learns.
SMALL: dict[str, tuple[str, dict[str, Any]]] = {
    "l1": ("sources", {}),
    "mse": ("sources", {}),
    "si_sdr": ("sources", {"zero_mean": True}),
    "snr": ("sources", {}),
    "l1_snr": ("sources", {}),
    "magnitude": ("magnitudes", {"distance": "l2"}),
    "phase_sensitive": ("magnitudes", {}),
    "stft_l1": ("sources", {"windows": [32, 16], "hop": 8, "least_fft": 32}),
    "stft_rmse": ("sources", {"n_fft": 32, "hop": 8}),
    "multi_resolution_stft": (
        "sources",
        {"n_fft": [32, 16], "hops": [8, 4], "windows": [32, 12], "linear": 0.5, "phase": 0.5},
    ),
    "deep_clustering": ("embeddings", {"form": "whitened"}),
    "perceptual": ("sources", {"network": "tiny.unet", "layers": ["networks.0.down.0"]}),
    "activity": ("features", {}),
    "pitch": ("sources", {"stem": "vocals", "width": 2, "octaves": 1, "per_octave": 4}),
}


@pytest.fixture(scope="module")
def network() -> SeparationModel:
    return chimera().eval()


def waves(seed: int, dtype: torch.dtype = torch.float32, samples: int = 400) -> Tensor:
    return draw(2, 2, 1, samples, seed=seed, dtype=dtype)


def test_every_term_is_tested() -> None:
    assert set(SMALL) == set(TERMS)


def outputs_of(network: SeparationModel, mix: Tensor) -> dict[str, Tensor]:
    with torch.no_grad():
        return network.training_outputs(mix)


@pytest.mark.parametrize("name", [name for name in SMALL if name != "perceptual"])
def test_gradients_are_those_of_differences(name: str, network: SeparationModel) -> None:
    key, settings = SMALL[name]
    sources = waves(1, torch.float64, samples=48)
    mix = sources.sum(1)
    outputs = {k: v.double() for k, v in outputs_of(network, mix.float()).items()}
    loss = make_loss([{"name": name, **settings}], network).double()
    start = (outputs[key] + draw(*outputs[key].shape, dtype=torch.float64)).requires_grad_()
    fast = start.numel() > 100

    def total(values: Tensor) -> Tensor:
        found: Tensor = loss({**outputs, key: values}, sources, mix)[0]
        return found

    assert gradcheck(total, start, eps=1e-6, atol=1e-5, fast_mode=fast)


@pytest.mark.parametrize("silent", ["sources", "estimates", "both"])
@pytest.mark.parametrize("name", SMALL)
def test_silence_has_finite_losses_and_gradients(
    name: str, silent: str, network: SeparationModel
) -> None:
    key, settings = SMALL[name]
    sources = torch.zeros(2, 2, 1, 400) if silent != "estimates" else waves(1)
    mix = sources.sum(1)
    outputs = outputs_of(network, mix)
    if silent == "sources":
        outputs[key] = outputs[key] + draw(*outputs[key].shape).abs()
    else:
        outputs[key] = torch.zeros_like(outputs[key])
    outputs[key].requires_grad_()
    total, values = make_loss([{"name": name, **settings}], network)(outputs, sources, mix)
    total.backward()
    assert total.isfinite()
    assert values[name].isfinite()
    gradient = outputs[key].grad
    assert gradient is not None
    assert gradient.isfinite().all()


@pytest.mark.parametrize("name", SMALL)
def test_half_precision_ends_at_the_network(name: str, network: SeparationModel) -> None:
    _, settings = SMALL[name]
    sources = waves(1)
    mix = sources.sum(1)
    half = {k: v.bfloat16() for k, v in outputs_of(network, mix).items()}
    loss = make_loss([{"name": name, **settings}], network)
    expected = loss({k: v.float() for k, v in half.items()}, sources, mix)[0]
    with torch.autocast("cpu", torch.bfloat16):
        found = loss(half, sources, mix)[0]
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)


def test_the_loss_is_the_weighted_sum_of_its_terms() -> None:
    sources, estimates = draw(2, 2, 2, 300), draw(2, 2, 2, 300, seed=1)
    tables = [
        {"name": "l1"},
        {"name": "stft_l1", "weight": 0.5, "windows": [64], "hop": 16, "least_fft": 64},
        {"name": "stft_l1", "weight": 2, "windows": [32], "hop": 8, "least_fft": 32},
    ]
    loss = make_loss(tables, shares())
    total, terms = loss({"sources": estimates}, sources, sources.sum(1))
    assert list(terms) == ["l1", "stft_l1", "stft_l1_2"]
    expected = terms["l1"] + 0.5 * terms["stft_l1"] + 2 * terms["stft_l1_2"]
    assert total == pytest.approx(float(expected), rel=1e-6)
    assert list(loss.state_dict()) == []


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"name": "l3"}, "unknown loss 'l3'"),
        ({}, "unknown loss None"),
        ({"name": "l1", "wieght": 1.0}, "loss 'l1': unknown key 'wieght'"),
        ({"name": "l1", "weight": "1"}, "loss 'l1': weight must be a number, not '1'"),
        ({"name": "l1", "weight": True}, "loss 'l1': weight must be a number, not True"),
        ({"name": "l1", "weight": -1}, "loss 'l1': weight must be at least 0, not -1.0"),
        ({"name": "l1", "weight": 0}, "a recipe needs a loss with a weight above 0"),
        ({"name": "l1", "permuted": 1}, "loss 'l1': permuted must be true or false, not 1"),
        ({"name": "l1", "quantile": 1.5}, "loss 'l1': quantile must be above 0 and at most 1"),
        ({"name": "l1", "samples": True, "permuted": True}, "samples and permuted exclude"),
        ({"name": "l1", "stems": {"piano": 1}}, "loss 'l1': the network has no stem 'piano'"),
        ({"name": "l1", "stems": {"vocals": "1"}}, "stems.vocals must be a number, not '1'"),
        ({"name": "l1", "stems": {"vocals": 0}}, "stems must have weights of at least 0, and one"),
        ({"name": "l1", "stems": ["vocals"]}, "stems must be a table, not"),
        ({"name": "stft_l1", "windows": 1024}, "windows must be a list, not 1024"),
        ({"name": "stft_l1", "windows": []}, "windows must have positive numbers"),
        ({"name": "stft_l1", "compare": "phase"}, "compare must be 'complex', 'parts' or"),
        ({"name": "multi_resolution_stft", "hops": [8]}, "must have as many numbers"),
        ({"name": "multi_resolution_stft", "windows": [2048] * 3}, "not be longer than their"),
        ({"name": "magnitude"}, "loss 'magnitude': Shares has no spectrogram with masks"),
        ({"name": "deep_clustering"}, "loss 'deep_clustering': Shares has no embeddings"),
        ({"name": "activity"}, "loss 'activity': Shares has no features: use spectra"),
        ({"name": "pitch"}, "loss 'pitch': stem is missing"),
        ({"name": "pitch", "stem": "piano"}, "loss 'pitch': the network has no stem 'piano'"),
        ({"name": "perceptual", "layers": ["x"]}, "loss 'perceptual': network is missing"),
        ({"name": "perceptual", "network": "tiny.unet", "layers": []}, "layers must name at least"),
        (
            {"name": "perceptual", "network": "tiny.unet", "layers": ["down"]},
            "loss 'perceptual': tiny.unet is for audio of 8192 Hz, not 8000 Hz",
        ),
    ],
)
def test_a_wrong_table_is_refused_in_one_line(table: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        make_loss([table], shares())
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_keys_come_with_the_known_ones() -> None:
    with pytest.raises(UsageError) as caught:
        make_loss([{"name": "mse", "q": 1}], shares())
    assert caught.value.hint == "its keys are permuted, quantile, samples, stems, weight"


def test_a_recipe_without_losses_is_refused() -> None:
    with pytest.raises(UsageError, match="needs a loss"):
        make_loss([], shares())


def test_too_many_sources_have_too_many_orders() -> None:
    with pytest.raises(UsageError, match="at most 6 sources, not 7"):
        make_loss([{"name": "l1", "permuted": True}], shares(*"abcdefg"))
