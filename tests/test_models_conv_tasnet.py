"""Conv-TasNet: torchaudio's network as the oracle for speech, parts by hand for music."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from oracles import randomise, signal_to_difference, torchaudio_models
from torch import Tensor, nn

from stemsplit.models import build
from stemsplit.models.conv_tasnet import (
    ChannelNorm,
    ConvTasNet,
    ConvTasNetConfig,
    CumulativeNorm,
    Decoder,
    GlobalNorm,
    SpeechConvTasNet,
    SpeechConvTasNetConfig,
    TemporalBlock,
)

MUSIC: dict[str, Any] = {"filters": 16, "bottleneck": 8, "hidden": 12, "blocks": 3, "repeats": 2}
SPEECH: dict[str, Any] = MUSIC | {"skip": 6}
#: 5e-5 of the signal: ten times what two thread counts differ by.
GATE = 86.0


def small(name: str, **fields: Any) -> Any:
    torch.manual_seed(0)
    model = build(f"conv_tasnet:{name}", fields).eval()
    randomise(model)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weight_name, weight in model.named_parameters():
            if weight_name.endswith(("gamma", "beta")):  # as after training: not all alike
                weight += 0.3 * torch.randn(weight.shape, generator=generator)
    return model


def noise(*shape: int) -> Tensor:
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def meta(network: type[nn.Module], config: object) -> nn.Module:
    with torch.device("meta"):
        return network(config)


def parameters(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


# --- Music ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("blocks", "count", "tensors"), [(8, 8_852_032, 294), (10, 10_977_872, 366)]
)
def test_size_of_the_published_network(blocks: int, count: int, tensors: int) -> None:
    model = meta(ConvTasNet, ConvTasNetConfig(blocks=blocks))
    assert (parameters(model), len(model.state_dict())) == (count, tensors)


def test_weights_are_called_as_in_the_published_files() -> None:
    state = meta(ConvTasNet, ConvTasNetConfig()).state_dict()
    block = "separator.network.2.3.9.net"
    expected = {
        "encoder.conv1d_U.weight": (256, 2, 20),
        "separator.network.0.gamma": (1, 256, 1),
        "separator.network.0.beta": (1, 256, 1),
        "separator.network.1.weight": (256, 256, 1),
        f"{block}.0.weight": (512, 256, 1),
        f"{block}.1.weight": (1,),
        f"{block}.2.gamma": (1, 512, 1),
        f"{block}.2.beta": (1, 512, 1),
        f"{block}.3.net.0.weight": (512, 1, 3),
        f"{block}.3.net.1.weight": (1,),
        f"{block}.3.net.2.gamma": (1, 512, 1),
        f"{block}.3.net.2.beta": (1, 512, 1),
        f"{block}.3.net.3.weight": (256, 512, 1),
        "separator.network.3.weight": (1024, 256, 1),
        "decoder.basis_signals.weight": (40, 256),
    }
    assert {name: tuple(state[name].shape) for name in expected} == expected


def array(tensor: Tensor) -> NDArray[np.float64]:
    return np.asarray(tensor.detach().double().numpy())


def normalise(
    x: NDArray[np.float64], norm: ChannelNorm, axes: int | tuple[int, int]
) -> NDArray[np.float64]:
    mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    scaled = (x - mean) / np.sqrt(variance + 1e-8)
    return array(norm.gamma)[0] * scaled + array(norm.beta)[0]


def close(expected: NDArray[np.float64], found: Tensor) -> bool:
    return signal_to_difference(torch.from_numpy(expected), found) > 110


def test_norms_by_hand() -> None:
    x = 3 + noise(1, 5, 7)
    for kind, axes in ((ChannelNorm, 0), (GlobalNorm, (0, 1))):
        norm = kind(5)
        nn.init.normal_(norm.gamma)
        nn.init.normal_(norm.beta)
        assert close(normalise(array(x[0]), norm, axes), norm(x)[0])


@pytest.mark.parametrize("dilation", [1, 4])
def test_a_block_by_hand(dilation: int) -> None:
    torch.manual_seed(0)
    block = TemporalBlock(ConvTasNetConfig(**MUSIC), dilation)
    randomise(block)
    x = noise(1, 8, 11)
    wide, prelu, norm, separable = block.net
    depthwise, separable_prelu, separable_norm, narrow = separable.net

    y = array(wide.weight)[..., 0] @ array(x[0])
    y = normalise(np.where(y > 0, y, array(prelu.weight) * y), norm, (0, 1))
    padded = np.pad(y, ((0, 0), (dilation, dilation)))
    taps = [padded[:, dilation * k : dilation * k + y.shape[1]] for k in range(3)]
    y = np.einsum("kcn,ck->cn", np.stack(taps), array(depthwise.weight)[:, 0])
    y = np.where(y > 0, y, array(separable_prelu.weight) * y)
    y = array(narrow.weight)[..., 0] @ normalise(y, separable_norm, (0, 1))
    assert close(array(x[0]) + y, block(x)[0])


def test_the_decoder_adds_overlapping_frames() -> None:
    torch.manual_seed(0)
    config = ConvTasNetConfig(**MUSIC, filter_length=6)
    decoder, weights = Decoder(config), noise(1, 16, 4)
    wave = np.zeros((2, 3 * 5))
    for frame in range(4):
        signals = array(decoder.basis_signals.weight) @ array(weights[0, :, frame])
        wave[:, 3 * frame : 3 * frame + 6] += signals.reshape(2, 6)
    assert close(wave, decoder(weights)[0])


def test_the_whole_of_its_parts() -> None:
    model, mix = small("ConvTasNet", **MUSIC), noise(2, 2, 200)
    with torch.no_grad():
        weights = nn.functional.conv1d(mix, model.encoder.conv1d_U.weight, stride=10).relu()
        norm, bottleneck, repeats, last = model.separator.network
        x = bottleneck(norm(weights))
        for repeat in repeats:
            for block in repeat:
                x = x + block.net(x)
        masks = last(x).relu().view(2, 4, 16, -1)
        stems = [model.decoder(masks[:, index] * weights) for index in range(4)]
        assert signal_to_difference(torch.stack(stems, 1), model(mix)) > 100


def test_known_answer() -> None:
    with torch.no_grad():
        stems = small("ConvTasNet", **MUSIC)(noise(1, 2, 400))
    expected = [-0.0234186165, -0.0276065208, 0.0626642033, -0.0273705311]
    assert stems[0, :, 0, 123].tolist() == pytest.approx(expected, rel=1e-4)


@pytest.mark.network
@pytest.mark.parametrize("frames", [4_000, 3_007, 20])
def test_music_equals_the_program_of_its_authors(release_v2: Any, frames: int) -> None:
    fields = {"filters": 32, "bottleneck": 16, "hidden": 24, "blocks": 4, "repeats": 2}
    ours = small("ConvTasNet", **fields)
    theirs = release_v2("tasnet").ConvTasNet(
        sources=list(ours.sources), N=32, L=20, B=16, H=24, P=3, X=4, R=2, audio_channels=2
    )
    theirs.load_state_dict(ours.state_dict(), strict=True)
    mix = noise(2, 2, frames)
    with torch.no_grad():
        assert signal_to_difference(theirs.eval()(mix), ours(mix)) > GATE


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 300))
def test_any_length(frames: int) -> None:
    mix = noise(1, 2, frames)
    with torch.no_grad():
        for name, fields, channels in (("ConvTasNet", MUSIC, 2), ("SpeechConvTasNet", SPEECH, 1)):
            model = small(name, **fields)
            stems = model(mix[:, :channels])
            assert stems.shape == (1, len(model.sources), channels, frames)
            last = 1 if channels == 1 else 1 + (frames % 10 if frames > 20 else 0)
            assert stems[..., -last].abs().max() > 0


# --- Speech --------------------------------------------------------------------------------------


def reference(config: SpeechConvTasNetConfig) -> Any:
    return torchaudio_models("conv_tasnet").ConvTasNet(
        num_sources=len(config.sources),
        enc_kernel_size=config.filter_length,
        enc_num_feats=config.filters,
        msk_kernel_size=config.kernel,
        msk_num_feats=config.bottleneck,
        msk_num_hidden_feats=config.hidden,
        msk_num_layers=config.blocks,
        msk_num_stacks=config.repeats,
        msk_activate=config.mask,
    )


def test_size_and_names_are_torchaudios() -> None:
    config = SpeechConvTasNetConfig()
    ours = meta(SpeechConvTasNet, config)
    assert (parameters(ours), len(ours.state_dict())) == (4_984_881, 343)
    with torch.device("meta"):
        theirs = reference(config)
    shapes = {name: tensor.shape for name, tensor in theirs.state_dict().items()}
    assert {name: tensor.shape for name, tensor in ours.state_dict().items()} == shapes


@pytest.mark.parametrize("mask", ["sigmoid", "relu"])
@pytest.mark.parametrize(
    ("fields", "frames"),
    [
        ({}, 8_000),
        (SPEECH | {"skip": 8, "sources": ("a", "b", "c")}, 1_001),
        (SPEECH | {"skip": 8, "filter_length": 10}, 7),
    ],
)
def test_the_same_weights_give_what_torchaudio_gives(
    fields: dict[str, Any], frames: int, mask: str
) -> None:
    ours = small("SpeechConvTasNet", **fields, mask=mask)
    theirs = reference(ours._config).eval()
    theirs.load_state_dict(ours.state_dict())
    mix = noise(2, 1, frames)
    with torch.no_grad():
        assert signal_to_difference(theirs(mix)[:, :, None], ours(mix)) > GATE


def test_a_causal_network_ignores_later_frames() -> None:
    causal, other = (small("SpeechConvTasNet", **SPEECH, causal=causal) for causal in (True, False))
    assert parameters(causal) == parameters(other)
    mix = noise(1, 1, 2_000)
    changed = torch.cat([mix[..., :1_000], -mix[..., 1_000:]], dim=-1)
    unaffected = 1_000 - causal._config.filter_length  # the filters of the basis look so far ahead
    with torch.no_grad():
        assert torch.equal(causal(mix)[..., :unaffected], causal(changed)[..., :unaffected])
        assert (
            signal_to_difference(other(mix)[..., :unaffected], other(changed)[..., :unaffected])
            < 60
        )


def test_the_norm_of_a_causal_network_by_hand() -> None:
    norm, x = CumulativeNorm(3), 2 + noise(1, 3, 5)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    for frame in range(5):
        past = array(x[0, :, : frame + 1])
        scaled = (array(x[0, :, frame]) - past.mean()) / np.sqrt(past.var() + 1e-8)
        expected = array(norm.weight) * scaled + array(norm.bias)
        assert close(expected, norm(x)[0, :, frame])


# --- Both ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [ConvTasNetConfig, SpeechConvTasNetConfig])
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"filter_length": 15}, "filter_length must be even, not 15"),
        ({"kernel": 2}, "kernel must be odd, not 2"),
        ({"repeats": 0}, "repeats must be at least 1, not 0"),
        ({"mask": "softmax"}, "mask must be 'relu' or 'sigmoid', not 'softmax'"),
        ({"sources": ()}, "sources must name at least one"),
    ],
)
def test_impossible_configurations(config: Any, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        config(**fields)


def test_counts_of_one_network_only() -> None:
    with pytest.raises(ValueError, match="audio_channels must be at least 1"):
        ConvTasNetConfig(audio_channels=0)
    with pytest.raises(ValueError, match="skip must be at least 1"):
        SpeechConvTasNetConfig(skip=0)
