"""Wave-U-Net: the paper's variants by count and frames, interpolation by hand, and alignment."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import randomise, signal_to_difference
from torch import Tensor
from torch.nn import functional

from stemsplit.models.wave_unet import (
    Upsampling,
    WaveUNet,
    WaveUNetConfig,
    padded_length,
)

#: Table 1 of the paper, and M5 at the rate of a CD, which the program has besides.
VARIANTS: dict[str, WaveUNetConfig] = {
    "M1": WaveUNetConfig(audio_channels=1, difference_output=False, context=False),
    "M2": WaveUNetConfig(audio_channels=1, context=False),
    "M3": WaveUNetConfig(audio_channels=1),
    "M4": WaveUNetConfig(),
    "M5": WaveUNetConfig(upsampling="learned"),
    "M5-HighSR": WaveUNetConfig(upsampling="learned", sample_rate=44_100, segment=884_736),
    "M6": WaveUNetConfig(sources=("bass", "drums", "other", "vocals")),
    "M7": WaveUNetConfig(audio_channels=1, sample_rate=8_192, filters=34, segment=163_840),
}


def small(**fields: Any) -> WaveUNet:
    torch.manual_seed(0)
    model = WaveUNet.from_config({"segment": 2_000, "levels": 3, "filters": 4} | fields).eval()
    randomise(model)
    return model


def noise(*shape: int) -> Tensor:
    return 0.2 * torch.randn(*shape, generator=torch.Generator().manual_seed(1))


# --- The paper's networks ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("M1", 10_263_028),
        ("M2", 10_263_002),
        ("M3", 10_263_002),
        ("M4", 10_263_390),
        ("M5", 10_265_550),
        ("M5-HighSR", 10_265_550),
        ("M6", 10_263_498),
        ("M7", 20_594_652),
    ],
)
def test_size_of_the_papers_networks(name: str, count: int) -> None:
    with torch.device("meta"):
        model = WaveUNet(VARIANTS[name])
    assert sum(weight.numel() for weight in model.parameters()) == count


@pytest.mark.parametrize(
    ("name", "wanted", "frames"),
    [
        ("M1", 16_384, (16_384, 16_384)),
        ("M1", 16_385, (20_480, 20_480)),
        ("M4", 16_384, (147_443, 16_389)),
        ("M4", 16_390, (151_539, 20_485)),
        ("M7", 102_405, (233_459, 102_405)),
    ],
)
def test_frames_in_and_out(name: str, wanted: int, frames: tuple[int, int]) -> None:
    assert padded_length(wanted, VARIANTS[name]) == frames


def test_segments_overlap_by_the_context_of_both() -> None:
    config = VARIANTS["M4"]
    inputs, outputs = padded_length(config.segment, config)
    assert WaveUNet.overlap * config.segment >= inputs - outputs


# --- Parts ---------------------------------------------------------------------------------------


def test_linear_interpolation_with_context_keeps_the_corners() -> None:
    x = noise(2, 3, 6)
    expected = functional.interpolate(x, 11, mode="linear", align_corners=True)
    found = Upsampling(3, context=True, learned=False)(x)
    assert signal_to_difference(expected, found) > 120


def test_linear_interpolation_without_context_repeats_the_last_sample() -> None:
    x = torch.tensor([[[1.0, 3.0, -2.0]]])
    found = Upsampling(1, context=False, learned=False)(x)
    assert found.tolist() == [[[1.0, 2.0, 3.0, 0.5, -2.0, -2.0]]]


def test_learned_interpolation_has_a_share_for_each_channel() -> None:
    layer = Upsampling(2, context=True, learned=True)
    assert layer.share is not None
    with torch.no_grad():
        layer.share.copy_(torch.tensor([np.log(3), -np.log(4)]))  # shares of 3/4 and 1/5
        found = layer(torch.tensor([[[4.0, 8.0], [5.0, 10.0]]]))
    assert torch.allclose(found, torch.tensor([[[4.0, 5.0, 8.0], [5.0, 9.0, 10.0]]]))


def test_one_level_by_hand() -> None:
    model = small(levels=1, audio_channels=1)
    mix, (inputs, outputs) = noise(1, 1, 15), padded_length(15, model._config)
    assert (inputs, outputs) == (61, 15)

    def convolve(x: np.ndarray, name: str) -> np.ndarray:
        weight = model.get_parameter(f"{name}.weight").detach().double().numpy()
        bias = model.get_parameter(f"{name}.bias").detach().double().numpy()
        windows = np.lib.stride_tricks.sliding_window_view(x, weight.shape[2], axis=1)
        return np.asarray(np.einsum("cnk,ock->on", windows, weight) + bias[:, None])

    def leaky(x: np.ndarray) -> np.ndarray:
        return np.where(x > 0, x, 0.2 * x)

    padded = np.pad(mix[0].double().numpy(), ((0, 0), (23, 23)))
    skip = leaky(convolve(padded, "down.0"))
    low = leaky(convolve(skip[:, ::2], "bottom"))
    wide = np.zeros((8, 2 * low.shape[1] - 1))
    wide[:, ::2], wide[:, 1::2] = low, (low[:, 1:] + low[:, :-1]) / 2
    start = (skip.shape[1] - wide.shape[1]) // 2
    wide = np.concatenate([skip[:, start : start + wide.shape[1]], wide])
    high = np.concatenate([padded[:, 23:-23], leaky(convolve(wide, "up.0"))])
    first = np.tanh(convolve(high, "outputs"))
    expected = np.stack([first, mix[0].double().numpy() - first])
    with torch.no_grad():
        assert signal_to_difference(torch.from_numpy(expected), model(mix)[0]) > 110


# --- The whole -----------------------------------------------------------------------------------


def test_known_answer() -> None:
    with torch.no_grad():
        stems = small(upsampling="learned")(noise(1, 2, 500))
    expected = [-0.1009019017, 0.1503004730]
    assert stems[0, 0, :, 250].tolist() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("fields", [{}, {"difference_output": False, "output": "linear"}])
def test_a_reversed_song_gives_reversed_stems(fields: dict[str, Any]) -> None:
    """Kernels that are symmetric in time leave no room for a skip that is a sample off."""
    model = small(**fields)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("weight"):
                weight.copy_((weight + weight.flip(-1)) / 2)
        _, frames = padded_length(300, model._config)
        mix = noise(1, 2, frames)
        assert signal_to_difference(model(mix), model(mix.flip(-1)).flip(-1)) > 90


def test_what_is_far_away_changes_nothing() -> None:
    """What zeros stand for at the ends ends where the context does."""
    model = small()
    inputs, outputs = padded_length(400, model._config)
    context = (inputs - outputs) // 2
    mix = noise(1, 2, 400 + 4 * context)
    with torch.no_grad():
        whole = model(mix)
        start = 2**3 * (context // 2**3)  # decimation keeps the same samples
        part = model(mix[..., start : start + 2 * context + 300])
        middle = slice(start + context, start + context + 300)
        near, far = part[..., context : context + 300], whole[..., middle]
        assert signal_to_difference(far, near) > 100
        assert signal_to_difference(whole[..., start : start + 50], part[..., :50]) < 80


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 400), st.booleans(), st.sampled_from(["linear", "learned"]))
def test_any_length(frames: int, context: bool, upsampling: str) -> None:
    model, mix = small(context=context, upsampling=upsampling), noise(1, 2, frames)
    model.train()
    with torch.no_grad():
        stems = model(mix)
    assert stems.shape == (1, 2, 2, frames)
    assert torch.allclose(stems.sum(1), mix, atol=1e-6)


def test_clipping_is_not_for_training() -> None:
    mix = 5 * noise(1, 2, 100)
    for fields in ({}, {"output": "linear"}):
        model = small(**fields)
        with torch.no_grad():
            model.outputs.weight *= 20
            assert model(mix).abs().max() <= 1
            assert model.train()(mix).abs().max() > 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sources": ("vocals",)}, "at least two sources with difference_output"),
        ({"levels": 0}, "levels must be at least 1, not 0"),
        ({"upsampling": "cubic"}, "upsampling must be 'linear' or 'learned', not 'cubic'"),
        ({"output": "relu"}, "output must be 'tanh' or 'linear', not 'relu'"),
    ],
)
def test_impossible_configurations(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WaveUNetConfig(**fields)
