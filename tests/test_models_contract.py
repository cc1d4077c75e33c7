"""What every network promises, whatever is inside. A new architecture is one more entry here."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from oracles import signal_to_difference
from torch import Tensor

from stemsplit.models import build
from stemsplit.models.base import SeparationModel

#: Each architecture in a configuration that runs in some hundredths of a second.
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "htdemucs:HTDemucs": {
        "channels": 16,
        "depth": 2,
        "nfft": 512,
        "bottom_channels": 16,
        "t_layers": 2,
        "t_heads": 2,
        "segment": 6_000,
    },
}


@pytest.fixture(params=ARCHITECTURES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def model(name: str) -> SeparationModel:
    torch.manual_seed(0)
    return build(name, ARCHITECTURES[name]).eval()


def noise(model: SeparationModel, frames: int, batch: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return 0.1 * torch.randn(batch, model.channels, frames, generator=generator)


@pytest.mark.parametrize("missing", [0, 1, 1_237])
def test_output_is_as_long_as_the_input(model: SeparationModel, missing: int) -> None:
    frames = (model.segment | 1) - 2 - missing
    with torch.no_grad():
        stems = model(noise(model, frames, batch=2))
    assert stems.shape == (2, len(model.sources), model.channels, frames)
    assert stems.dtype == torch.float32


def test_gradient_reaches_every_parameter(model: SeparationModel) -> None:
    model.train()
    outputs = model.training_outputs(noise(model, model.segment))
    stems = outputs["sources"]
    (stems * torch.randn(stems.shape, generator=torch.Generator().manual_seed(2))).sum().backward()
    without = [
        name
        for name, weight in model.named_parameters()
        if weight.grad is None or not weight.grad.isfinite().all() or not weight.grad.any()
    ]
    assert without == []


def test_a_batch_gives_what_its_items_give_alone(model: SeparationModel) -> None:
    mix = noise(model, model.segment, batch=3)
    with torch.no_grad():
        together = model(mix)
        alone = torch.cat([model(item) for item in mix.split(1)])
    assert signal_to_difference(alone, together) > 90


def test_gradients_on_or_off_give_the_same(model: SeparationModel) -> None:
    mix = noise(model, model.segment)
    with torch.inference_mode():
        without = model(mix).clone()
    assert signal_to_difference(without, model(mix).detach()) > 90


def test_the_same_input_gives_the_same_bytes(model: SeparationModel) -> None:
    mix = noise(model, model.segment)
    with torch.no_grad():
        assert torch.equal(model(mix), model(mix))


def test_silence_stays_finite(model: SeparationModel) -> None:
    mix = torch.zeros(1, model.channels, model.segment, requires_grad=True)
    stems = model(mix)
    stems.sum().backward()
    assert stems.isfinite().all()
    assert mix.grad is not None and mix.grad.isfinite().all()


def test_weights_go_to_another_instance(name: str, model: SeparationModel) -> None:
    torch.manual_seed(1)
    other = build(name, ARCHITECTURES[name]).eval()
    other.load_state_dict(model.state_dict(), strict=True)
    mix = noise(model, model.segment)
    with torch.no_grad():
        assert torch.equal(model(mix), other(mix))


def test_bfloat16_autocast_stays_close(model: SeparationModel) -> None:
    mix = noise(model, model.segment)
    with torch.no_grad():
        exact = model(mix)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = model(mix)
    assert rounded.dtype == torch.float32
    assert 20 < signal_to_difference(exact, rounded) < 100


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("precision", [torch.float32, torch.float16, torch.bfloat16])
def test_cuda_stays_close(model: SeparationModel, precision: torch.dtype) -> None:
    mix = noise(model, model.segment)
    with torch.no_grad():
        exact = model(mix)
        with torch.autocast("cuda", precision, enabled=precision != torch.float32):
            stems = model.cuda()(mix.cuda()).cpu()
    floor = {torch.float32: 50, torch.float16: 35, torch.bfloat16: 20}[precision]
    assert signal_to_difference(exact, stems) > floor


def test_configuration_survives_json(name: str, model: SeparationModel) -> None:
    assert build(name, json.loads(json.dumps(model.config))).config == model.config


def test_an_unknown_field_is_refused(name: str) -> None:
    with pytest.raises(TypeError, match="chanels"):
        build(name, {**ARCHITECTURES[name], "chanels": 2})
