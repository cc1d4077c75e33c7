"""TasNet: the paper's sizes, what its parts do by hand, and what a causal network must ignore."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import randomise, signal_to_difference
from torch import Tensor
from torch.nn import functional

from stemsplit.models.tasnet import TasNet, TasNetConfig


def small(**fields: Any) -> TasNet:
    torch.manual_seed(0)
    sizes = {"segment": 800, "basis": 12, "hidden": 8}
    model = TasNet.from_config(sizes | fields).eval()
    randomise(model)
    return model


def noise(frames: int, batch: int = 1) -> Tensor:
    return 0.1 * torch.randn(batch, 1, frames, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("config", "count"),
    [
        (TasNetConfig(), 23_094_000),
        (TasNetConfig(bidirectional=False, hidden=1_000), 31_094_000),
    ],
)
def test_size_of_the_papers_networks(config: TasNetConfig, count: int) -> None:
    with torch.device("meta"):
        model = TasNet(config)
    assert sum(weight.numel() for weight in model.parameters()) == count


def test_forward_is_what_the_paper_says() -> None:
    model, mix = small(), noise(200, batch=2)
    with torch.no_grad():
        frames = mix.reshape(2, 5, 40)
        unit = frames / frames.norm(dim=-1, keepdim=True)
        weights = functional.relu(unit @ model.encoder.weight.T)
        weights = weights * torch.sigmoid(unit @ model.gate.weight.T)
        mean, variance = weights.mean(-1, keepdim=True), weights.var(-1, False, keepdim=True)
        x = (weights - mean) / (variance + 1e-5).sqrt() * model.norm.weight + model.norm.bias
        first, second = model.lstm
        x = first(x)[0]
        x = second(x)[0] + x
        masks = model.mask(x).view(2, 5, 2, 12).softmax(2)
        waves = (masks * weights[:, :, None]) @ model.decoder.weight.T
        waves = waves * frames.norm(dim=-1)[:, :, None, None]
        expected = waves.permute(0, 2, 1, 3).reshape(2, 2, 1, 200)
        assert signal_to_difference(expected, model(mix)) > 100


def test_stems_are_as_loud_as_the_mixture() -> None:
    model, mix = small(), noise(800)
    with torch.no_grad():
        assert signal_to_difference(1e3 * model(mix), model(1e3 * mix)) > 60


def test_a_causal_network_ignores_later_frames() -> None:
    mix = noise(800)
    changed = torch.cat([mix[..., :400], -mix[..., 400:]], dim=-1)
    causal, other = small(bidirectional=False), small()
    with torch.no_grad():
        assert torch.equal(causal(mix)[..., :400], causal(changed)[..., :400])
        assert signal_to_difference(other(mix)[..., :400], other(changed)[..., :400]) < 60


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 300))
def test_any_length(frames: int) -> None:
    model, mix = small(), noise(frames)
    with torch.no_grad():
        stems = model(mix)
        longer = model(functional.pad(mix, (0, -frames % 40)))
    assert stems.shape == (1, 2, 1, frames)
    assert torch.equal(stems, longer[..., :frames])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"layers": 3}, "layers must be a multiple of 2, not 3"),
        ({"basis": 0}, "basis must be at least 1, not 0"),
        ({"sources": ()}, "sources must name at least one"),
    ],
)
def test_impossible_configurations(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TasNetConfig(**fields)
