"""MMDenseNet and MMDenseLSTM: the published sizes, their blocks by hand, stored values."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import run, waves
from oracles import signal_to_difference
from torch import Tensor, nn
from torch.nn import functional

from stemsplit.models import build
from stemsplit.models.mmdenselstm import MMDenseLSTM, MMDenseLSTMConfig
from stemsplit.models.mmdensenet import (
    BandConfig,
    DenseBlock,
    LSTMBlock,
    MDenseNet,
    MMDenseNet,
    MMDenseNetConfig,
    Up,
)
from stemsplit.models.spectrograms import istft, stft

TINY: dict[str, Any] = {
    "sources": ["vocals", "other"],
    "segment": 4_000,
    "n_fft": 128,
    "hop": 64,
    "bands": [
        {"bins": 24, "features": 4, "kernel": [4, 3], "growth": [3, 4, 5], "layers": [2, 3, 2]},
        {"bins": 41, "features": 3, "growth": [2, 2, 2], "layers": [1, 1, 1]},
    ],
    "full": {"bins": 65, "features": 4, "growth": [2, 2, 2], "layers": [1, 2, 1]},
}
RECURRENT: dict[str, Any] = TINY | {
    "bands": [
        {"bins": 24, "features": 4, "growth": [3, 4, 5], "layers": [2, 3, 2], "lstm": [0, 6, 4]},
        {"bins": 41, "features": 3, "growth": [2, 0, 2], "layers": [1, 0, 1], "lstm": [2, 4, 0]},
    ],
}


def tiny(kind: type[MMDenseNet]) -> MMDenseNet:
    recurrent = kind is MMDenseLSTM
    name = "mmdenselstm:MMDenseLSTM" if recurrent else "mmdensenet:MMDenseNet"
    model = build(name, RECURRENT if recurrent else TINY)
    assert isinstance(model, kind)
    fill(model)
    return model.eval()


def fill(model: nn.Module) -> None:
    """Give ``model`` weights that are the same everywhere and hide no norm, scale or bias."""
    with torch.no_grad():
        for number, (name, weight) in enumerate(model.state_dict().items()):
            if not weight.is_floating_point():
                continue
            values = waves(number, weight)
            if weight.dim() > 1:
                values = values * (2 / weight[0].numel()) ** 0.5
            elif name.endswith(("weight", "scale", "running_var")):
                values = 1 + 0.5 * values
            elif name.endswith("output_mean"):
                values = 1 + values
            else:
                values = 0.1 * values
            weight.copy_(values.view_as(weight))


def chord(samples: int) -> Tensor:
    """Return tones ``(1, 2, samples)`` that differ between the channels."""
    time = torch.arange(samples).double() / 44_100
    tones = [torch.sin(2 * torch.pi * f * time + p) for f, p in ((440, 0), (1_900, 1), (9_000, 2))]
    left, right = tones[0] + 0.3 * tones[2], 0.5 * tones[0] + tones[1]
    return 0.3 * torch.stack([left, right])[None].float()


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


# --- Sizes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("mmdensenet:MMDenseNet", 339_468), ("mmdenselstm:MMDenseLSTM", 1_370_784)],
)
def test_the_published_sizes(name: str, parameters: int) -> None:
    """Of one source; the papers say 0.33 and 1.22 million, public reproductions as here."""
    with torch.device("meta"):
        model = build(name, {"sources": ["vocals"]})
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert build(name, model.config).config == model.config


def test_a_fresh_network_lets_all_bins_through() -> None:
    """Nothing is shifted or scaled before, and an output mean of 1 keeps the last ReLU open."""
    model = build("mmdensenet:MMDenseNet", TINY)
    for network in model.networks:
        starts = {"input_mean": 0, "input_scale": 1, "output_mean": 1, "output_scale": 1}
        for name, value in starts.items():
            assert torch.equal(getattr(network, name), torch.full((65,), float(value))), name


def test_the_published_bands() -> None:
    assert [band.bins for band in MMDenseNetConfig().bands] == [512, 513]
    assert [band.bins for band in MMDenseLSTMConfig().bands] == [380, 644, 1025]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"sources": []}, "at least one source"),
        ({"bands": []}, "do not have 65 bins"),
        ({"channels": 3}, "channels must be 1 or 2, not 3"),
        ({"hop": 65}, "within half a window"),
        ({"bands": TINY["bands"][:1]}, "do not have 65 bins"),
        ({"n_fft": 256}, "does not have 65 bins"),
        ({"full": TINY["full"] | {"growth": [2, 2]}}, "one odd length"),
        ({"full": TINY["full"] | {"lstm": [2]}}, "one odd length"),
        ({"full": TINY["full"] | {"layers": [1, 0, 1]}}, "must have a layer"),
    ],
)
def test_impossible_values_are_refused(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        build("mmdensenet:MMDenseNet", TINY | change)


def test_an_unknown_field_of_a_band_is_refused() -> None:
    with pytest.raises(TypeError, match="growht"):
        build("mmdensenet:MMDenseNet", TINY | {"full": TINY["full"] | {"growht": 3}})


# --- Blocks by hand ------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", [(3, 3), (4, 3), (2, 1)])
@pytest.mark.parametrize("dilated", [False, True])
def test_a_layer_uses_all_previous_layers(kernel: tuple[int, int], dilated: bool) -> None:
    """By the definition: the inputs of each layer are concatenated, and convolved by one kernel."""
    block = DenseBlock(5, 2, 3, kernel, dilated=dilated).eval()
    fill(block)
    captured, x = [], noise(1, 5, 9, 11)
    for index, layer in enumerate(block.layers):
        assert isinstance(layer, nn.Sequential)
        captured.append(functional.relu(layer[0](x)))
        total = torch.zeros(1, 2, 9, 11)
        for earlier in range(index + 1):
            convolution = block.layers[earlier][2]  # type: ignore[index]
            maps = slice(2 * (index - earlier), 2 * (index - earlier + 1))
            step = 2**earlier if dilated else 1
            rows, columns = ((size - 1) * step for size in kernel)
            around = (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)
            total += functional.conv2d(
                functional.pad(captured[earlier], around),
                convolution.weight[maps],
                convolution.bias[maps],
                dilation=step,
            )
        x = total
    assert signal_to_difference(x, run(block, noise(1, 5, 9, 11))) > 110


def test_the_recurrent_layer_is_bidirectional_and_uses_every_bin() -> None:
    block = LSTMBlock(3, 8, 6).eval()
    x = noise(1, 3, 8, 20).requires_grad_()
    out = block(x)
    assert out.shape == (1, 1, 8, 20)
    (gradient,) = torch.autograd.grad(out[0, 0, 2, 10], x)
    assert (gradient != 0).all()


@given(bins=st.integers(3, 30), frames=st.integers(1, 30), deep=st.integers(1, 3))
@settings(max_examples=25, deadline=None)
def test_a_u_net_gives_as_much_as_it_takes(bins: int, frames: int, deep: int) -> None:
    stages = 2 * deep + 1
    config = BandConfig(bins=bins, features=2, growth=stages * (2,), layers=stages * (1,))
    network = MDenseNet(config, 2, 3).eval()
    assert run(network, noise(1, 2, bins, frames)).shape == (1, 3, bins, frames)


def test_up_puts_the_skip_where_it_came_from() -> None:
    """The zero that made an odd number even stood at the end, and goes again."""
    up = Up(1).eval()
    with torch.no_grad():
        up.convolve.weight.fill_(1.0)
        up.convolve.bias.zero_()  # type: ignore[union-attr]
    x = torch.arange(6.0).view(1, 1, 2, 3)
    skip = noise(1, 1, 3, 5)
    joined = run(up, x, skip)
    expected = x.repeat_interleave(2, 2).repeat_interleave(2, 3)[..., :3, :5]
    assert torch.equal(joined[:, 1:], skip)
    torch.testing.assert_close(joined[:, :1], expected, atol=1e-3, rtol=1e-4)


# --- The whole -----------------------------------------------------------------------------------


@given(st.integers(1, 4_500), st.integers(1, 2))
@settings(max_examples=8, deadline=None)
def test_any_length_comes_back(samples: int, batch: int) -> None:
    for kind in (MMDenseNet, MMDenseLSTM):
        stems = run(tiny(kind), 0.1 * noise(batch, 2, samples))
        assert stems.shape == (batch, 2, 2, samples)
        assert stems.isfinite().all()


def test_one_source_alone_keeps_the_phase_of_the_mixture() -> None:
    model = build("mmdensenet:MMDenseNet", TINY | {"sources": ["vocals"]}).eval()
    fill(model)
    with torch.no_grad():
        for source in model.networks:  # type: ignore[union-attr]
            source.output_scale.zero_()  # type: ignore[operator, union-attr]
            source.output_mean.fill_(1.0)  # type: ignore[operator, union-attr]
    impulse = torch.zeros(1, 2, 4_096)
    impulse[..., 2_048] = 1.0
    # Magnitudes of 1 at an impulse's phases are that impulse, but for the window around it.
    stem = run(model, impulse)[0, 0, 0]
    assert stem.abs().argmax() == 2_048


@pytest.mark.parametrize("training", [False, True])
def test_training_leaves_the_filter_out(training: bool) -> None:
    mix = chord(4_000)
    outputs = tiny(MMDenseNet).train(training).training_outputs(mix)
    assert outputs["magnitudes"].shape == (1, 2, 2, 65, 63)
    phase = torch.sgn(stft(mix, 128, 64))[:, None]
    unfiltered = istft(outputs["magnitudes"] * phase, 128, 64, 4_000)
    distance = signal_to_difference(unfiltered, outputs["sources"])
    assert distance > 100 if training else distance < 10


#: A sample of both stems in both channels, then the power of these: what came out at first.
STORED = {
    MMDenseNet: [
        *(0.0218187, 0.1662489, 0.0317757, 0.1394655),
        *(0.0059375, 0.0161681, 0.0140499, 0.0114558),
    ],
    MMDenseLSTM: [
        *(-0.0432505, 0.1438682, 0.0535811, 0.1345434),
        *(0.0053492, 0.0138584, 0.0254289, 0.0174121),
    ],
}


@pytest.mark.parametrize("kind", [MMDenseNet, MMDenseLSTM])
def test_the_stored_values(kind: type[MMDenseNet]) -> None:
    stems = run(tiny(kind), chord(3_333))
    found = torch.cat([stems[0, :, :, 1_000].flatten(), stems.square().mean((0, 3)).flatten()])
    assert found.tolist() == pytest.approx(STORED[kind], rel=1e-4, abs=1e-6)
