"""U-Net and C-U-Net: published counts, pieces by hand, and what the conditions do."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import randomise, signal_to_difference
from torch import Tensor, nn

from stemsplit.models import build
from stemsplit.models.unet import Control, DownLayer, UNet, UNetConfig

TINY: dict[str, Any] = {"n_fft": 256, "hop": 128, "bins": 128, "block": 16, "widths": [4, 6, 8]}
SEGMENT = 15 * 128
FOUR = ("bass", "drums", "rest", "vocals")


def tiny(**fields: Any) -> UNet:
    torch.manual_seed(0)
    model = build("unet:UNet", TINY | fields)
    assert isinstance(model, UNet)
    randomise(model)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):  # as after training: not all alike
            nn.init.uniform_(module.running_var, 0.005, 0.02)
            nn.init.normal_(module.running_mean, 0, 0.02)
    with torch.no_grad():
        for network in model.networks:
            network.up[-1].convolution.weight *= 8  # masks from 0 to 1
    return model.eval()


def conditioned(**fields: Any) -> UNet:
    return tiny(sources=FOUR, arrangement="conditioned", control_widths=[8, 8, 8], **fields)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return 0.3 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def parameters(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


# --- The published networks ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "count"),
    [
        ({"sources": ("vocals",)}, 9_823_313),
        ({}, 2 * 9_823_313),
        ({"sources": FOUR, "arrangement": "joint"}, 9_825_716),
        ({"sources": ("vocals",), "channels": 2}, 9_824_514),
    ],
)
def test_published_number_of_parameters(fields: dict[str, Any], count: int) -> None:
    with torch.device("meta"):
        assert parameters(UNet(UNetConfig(**fields))) == count


@pytest.mark.parametrize(
    ("control", "film", "count"),
    [
        ("dense", "simple", 21_532),
        ("dense", "complex", 2_336_560),
        ("convolution", "simple", 11_388),
        ("convolution", "complex", 592_960),
    ],
)
def test_published_number_of_parameters_in_control(control: Any, film: Any, count: int) -> None:
    fields = {"sources": FOUR, "arrangement": "conditioned", "control": control, "film": film}
    with torch.device("meta"):
        model = UNet(UNetConfig(**fields))
    assert parameters(model) == 9_823_313 + count


def test_a_segment_is_one_block_of_the_paper() -> None:
    with torch.device("meta"):
        model = UNet(UNetConfig())
    assert (model.sample_rate, model.channels, model.segment) == (8192, 1, 127 * 768)
    assert model.transform(torch.zeros(1, 1, model.segment)).shape == (1, 1, 513, 128)
    assert [layer.dropout.p for layer in model.networks[0].up] == [0.5, 0.5, 0.5, 0, 0, 0]


def test_dropout_is_in_the_decoder_or_in_the_encoder() -> None:
    for part, idle in (("decoder", "encoder"), ("encoder", "decoder")):
        model = tiny(dropout_in=part, sources=("vocals",), widths=[64, 64, 64, 64], dropout=0.25)
        layers = {"encoder": model.networks[0].down, "decoder": model.networks[0].up}
        assert [layer.dropout.p for layer in layers[part]] == [0.25, 0.25, 0.25, 0]
        assert [layer.dropout.p for layer in layers[idle]] == [0, 0, 0, 0]
        # What is not zero is made louder in turn; only while training.
        layer, x = layers[part][0], torch.full((1, 1 if part == "encoder" else 64, 8, 8), 0.5)
        whole = layer(x)
        layer.dropout.train()
        dropped = layer(x)
        nonzero = whole.abs() > 0
        assert (dropped[nonzero] == 0).float().mean().item() == pytest.approx(0.25, abs=0.06)
        kept = dropped != 0
        torch.testing.assert_close(dropped[kept], whole[kept] / 0.75)


def test_the_place_of_dropout_changes_nothing_after_training() -> None:
    mix = noise(1, 1, SEGMENT)
    with torch.inference_mode():
        torch.testing.assert_close(
            tiny(dropout_in="encoder")(mix), tiny(dropout_in="decoder")(mix), rtol=0, atol=0
        )


def test_fresh_weights_and_dropout_of_the_control_network() -> None:
    torch.manual_seed(0)
    model = UNet(UNetConfig(sources=FOUR, arrangement="conditioned"))
    assert model.control is not None and model.control.dropout.p == 0.5
    for name, weight in model.networks.named_parameters():
        if weight.numel() > 5_000:
            assert weight.std().item() == pytest.approx(0.02, rel=0.05), name


# --- The contract --------------------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(
    st.integers(1, 3 * SEGMENT),
    st.integers(1, 2),
    st.sampled_from(["separate", "joint", "conditioned"]),
)
def test_any_length_comes_back(samples: int, channels: int, arrangement: str) -> None:
    model = tiny(arrangement=arrangement, channels=channels, control_widths=[8, 8, 8])
    with torch.inference_mode():
        stems = model(noise(2, channels, samples))
    assert stems.shape == (2, 2, channels, samples)
    assert stems.dtype == torch.float32


@pytest.mark.parametrize("arrangement", ["separate", "joint", "conditioned"])
def test_loudness_changes_nothing_else(arrangement: str) -> None:
    model, mix = tiny(arrangement=arrangement), noise(1, 1, SEGMENT)
    with torch.inference_mode():
        assert signal_to_difference(model(mix), model(100 * mix) / 100) > 100
        assert not model(0 * mix).any()


def test_known_answer() -> None:
    """Values of this network when it was written, from its seed on (torch 2.13)."""
    mix = torch.sin(torch.arange(SEGMENT)[None, None] ** 2 / 5e3)
    with torch.inference_mode():
        stems = tiny()(mix)[0, :, 0, 300:1500:300]
    expected = torch.tensor(
        [[-0.292399, 0.128681, -0.546525, -0.390018], [-0.400823, 0.199782, -0.605401, -0.434532]]
    )
    torch.testing.assert_close(stems, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"bins": 60}, "bins must be a multiple of 8, not 60"),
        ({"block": 20}, "block must be a multiple of 8, not 20"),
        ({"bins": 136}, "136 bins are more than a window of 256 has"),
        ({"hop": 256}, "a hop of 256 is not within a window of 256"),
        ({"sources": ["vocals"], "arrangement": "conditioned"}, "at least two"),
        ({"arrangement": "conditioned", "control_widths": [8, 8]}, "3 layers, not 2"),
        ({"arrangement": "shared"}, "'joint' or 'conditioned', not 'shared'"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        build("unet:UNet", TINY | fields)


# --- Pieces by hand ------------------------------------------------------------------------------


def test_going_down_and_up_shifts_nothing() -> None:
    """A kernel that is 1 at (1, 1) takes every other value and puts it back where it was."""
    network = tiny(widths=[1], bins=8, n_fft=16, hop=8, block=8).networks[0]
    with torch.no_grad():
        for layer in (network.down[0].convolution, network.up[0].convolution):
            nn.init.zeros_(layer.weight)[0, 0, 1, 1] = 1.0
            nn.init.zeros_(layer.bias)
        network.down[0].norm = nn.Identity()
        image = torch.rand(1, 1, 8, 8)
        logits = network(image)
    expected = torch.zeros(1, 1, 8, 8)
    expected[..., ::2, ::2] = image[..., ::2, ::2]
    assert torch.equal(logits, expected)


def test_film_scales_and_shifts_between_norm_and_activation() -> None:
    layer, x = DownLayer(2, 3, dropout=0.0).eval(), noise(1, 2, 8, 8)
    randomise(layer)
    scale, shift = torch.tensor([[0.5, -1.0, 2.0]]), torch.tensor([[0.1, -0.2, 0.0]])
    plain = layer(x)
    normed = torch.where(plain > 0, plain, plain / 0.2)  # leaky ReLU undone
    filmed = normed * scale[..., None, None] + shift[..., None, None]
    expected = torch.where(filmed > 0, filmed, 0.2 * filmed)
    torch.testing.assert_close(layer(x, (scale, shift)), expected, atol=1e-6, rtol=1e-5)
    assert (expected < 0).any() and (expected > 0).any()


@pytest.mark.parametrize("samples", [100, SEGMENT, 2 * SEGMENT + 700])
def test_blocks_are_processed_one_after_the_other(samples: int) -> None:
    """And joined to masks that the mixture goes through, its highest bin left out; in numpy."""
    model, mix = tiny(channels=2), noise(1, 2, samples)
    with torch.inference_mode():
        outputs = model.training_outputs(mix)
        padded = np.pad(mix[0].numpy(), [(0, 0), (0, -samples % 128 if samples > 128 else 156)])
        mirrored = np.pad(padded, [(0, 0), (128, 128)], mode="reflect")
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(256) / 256)
        starts = range(0, padded.shape[1] + 1, 128)
        spectrum = np.stack([np.fft.rfft(mirrored[:, n : n + 256] * hann) for n in starts], -1)
        magnitudes = torch.from_numpy(np.abs(spectrum[:, :128])).float()
        scaled = nn.functional.pad(magnitudes / magnitudes.max(), (0, -len(starts) % 16))
        blocks = scaled[None].split(16, dim=-1)
        for number, network in enumerate(model.networks):
            mask = torch.cat([network(block).sigmoid() for block in blocks], -1)
            mask = mask[0, ..., : len(starts)].numpy()
            np.testing.assert_allclose(outputs["masks"][0, number], mask, atol=1e-5)
            np.testing.assert_allclose(
                outputs["magnitudes"][0, number], mask * magnitudes.numpy(), atol=1e-3
            )
            masked = np.fft.irfft(np.pad(mask, [(0, 0), (0, 1), (0, 0)]) * spectrum, axis=1)
            total, norm = np.zeros((2, mirrored.shape[1])), np.zeros(mirrored.shape[1])
            for place, frame in zip(starts, masked.transpose(2, 0, 1), strict=True):
                total[:, place : place + 256] += frame * hann
                norm[place : place + 256] += hann**2
            stem = (total[:, 128:] / norm[128:].clip(1e-9))[:, :samples]
            np.testing.assert_allclose(outputs["sources"][0, number], stem, atol=1e-5)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 300_000))
def test_open_masks_give_the_mixture_back_with_the_papers_settings(samples: int) -> None:
    """Hops of three quarters of a window still say everything; only the highest bin is lost."""
    model = build("unet:UNet", {"sources": ["all"], "widths": [1]}).eval()
    last = model.networks[0].up[-1].convolution
    with torch.no_grad():
        last.weight.zero_()
        last.bias.fill_(30.0)
        mix = torch.sin(torch.arange(samples) * 0.3)[None, None]
        found = model(mix)[:, 0]
    torch.testing.assert_close(found, mix, atol=2e-2, rtol=0)


def test_a_joint_network_has_a_mask_for_each_channel_of_each_source() -> None:
    model = tiny(sources=["a", "b", "c"], channels=2, arrangement="joint")
    last = model.networks[0].up[-1].convolution
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(torch.arange(6.0))
        masks = model.training_outputs(noise(2, 2, 2 * SEGMENT))["masks"]
    expected = torch.arange(6.0).sigmoid().view(1, 3, 2, 1, 1).expand_as(masks)
    assert torch.equal(masks, expected)


# --- Conditions ----------------------------------------------------------------------------------


def test_features_of_a_joint_network_are_what_its_masks_are_made_of() -> None:
    """Half as many frames, the mean over frequency, block after block."""
    model = tiny(arrangement="joint", dropout=0.0)
    mix = noise(2, 1, 2 * SEGMENT)
    seen: list[torch.Tensor] = []
    last = model.networks[0].up[-1]  # type: ignore[union-attr, index]
    last.register_forward_pre_hook(lambda _layer, inputs: seen.append(inputs[0]))
    with torch.inference_mode():
        outputs = model.training_outputs(mix)
    features, frames = outputs["features"], outputs["masks"].shape[-1]
    assert features.shape == (2, model.feature_width, (frames + 1) // 2)
    blocks = seen[0].mean(2).unflatten(0, (2, -1))  # type: ignore[no-untyped-call]
    for number, block in enumerate(blocks.unbind(1)):
        part = features[..., 8 * number : 8 * (number + 1)]
        assert torch.equal(part, block[..., : part.shape[-1]])
    assert "features" not in tiny().training_outputs(mix)


def control_in_numpy(control: Control, condition: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return all scales and all shifts for ``condition`` ``(Z,)``."""
    w = {name: tensor.double().numpy() for name, tensor in control.state_dict().items()}
    count = len(condition)
    x = condition if control.dense else condition[None]
    for n in range(3):
        weight, bias = w[f"layers.{n}.weight"], w[f"layers.{n}.bias"]
        if control.dense:
            x = weight @ x + bias
        else:
            if n < 2:
                x = np.pad(x, [(0, 0), ((count - 1) // 2, count // 2)])
            places = range(x.shape[1] - count + 1)
            slices = [x[:, place : place + count] for place in places]
            x = np.stack([np.einsum("oik,ik->o", weight, s) + bias for s in slices], -1)
        x = np.maximum(x, 0)
        if n:
            norm = {key: w[f"norms.{n - 1}.{key}"] for key in ("weight", "bias")}
            mean, variance = (w[f"norms.{n - 1}.running_{key}"] for key in ("mean", "var"))
            gain = norm["weight"] / np.sqrt(variance + 1e-5)
            x = ((x.T - mean) * gain + norm["bias"]).T
    x = x.ravel()
    return (
        w["scale.weight"] @ x + w["scale.bias"],
        w["shift.weight"] @ x + w["shift.bias"],
    )


@pytest.mark.parametrize("film", ["simple", "complex"])
@pytest.mark.parametrize("kind", ["dense", "convolution"])
def test_control_in_numpy(kind: str, film: str) -> None:
    control = conditioned(control=kind, film=film).control
    assert control is not None
    condition = torch.tensor([0.2, 0.0, 1.0, 0.5])
    with torch.inference_mode():
        films = control(condition[None])
    sizes = [1, 1, 1] if film == "simple" else [4, 6, 8]
    assert [scale.shape for scale, _ in films] == [(1, size) for size in sizes]
    for part, truth in enumerate(control_in_numpy(control, condition.double().numpy())):
        found = torch.cat([each[part] for each in films], 1)[0]
        np.testing.assert_allclose(found.numpy(), truth, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("film", ["simple", "complex"])
def test_each_source_is_what_its_condition_wants(film: str) -> None:
    """A control network with swapped inputs takes one source for the other."""
    model, mix, order = conditioned(film=film), noise(2, 1, 2 * SEGMENT), [2, 0, 3, 1]
    assert model.control is not None
    weight = model.control.get_parameter("layers.0.weight")
    with torch.no_grad():
        stems = model(mix)
        weight.copy_(weight[:, order])
        swapped = model(mix)
    assert signal_to_difference(stems[:, order], swapped) > 90
    assert signal_to_difference(stems, swapped) < 40


def test_scales_of_one_and_shifts_of_zero_are_no_condition() -> None:
    model, plain, mix = conditioned(), tiny(sources=["all"]), noise(1, 1, SEGMENT)
    assert model.control is not None
    plain.networks.load_state_dict(model.networks.state_dict())
    with torch.no_grad():
        for head in (model.control.scale, model.control.shift):
            head.weight.zero_()
            head.bias.fill_(1.0 if head is model.control.scale else 0.0)
        stems = model(mix)
        assert signal_to_difference(plain(mix).expand_as(stems), stems) > 100


def test_a_fresh_control_network_starts_around_a_scale_of_one() -> None:
    torch.manual_seed(0)
    control = Control(UNetConfig(sources=FOUR, arrangement="conditioned")).eval()
    scales = torch.cat([scale for scale, _ in control(torch.eye(4))])
    assert scales.mean().item() == pytest.approx(1, abs=0.1)
    assert math.isfinite(scales.std().item()) and scales.std() > 0
