"""BS-RoFormer: counts, masks by hand, stored values, the published checkpoints, the oracle."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import noise, on_meta, run
from oracles import signal_to_difference
from roformers import (
    ROTARY,
    SMALL,
    check_mask_of_one,
    check_settings,
    check_stored_values,
    fill,
    reference_arguments,
    reference_package,
    separate,
    set_masks,
    share_weights,
    tone,
)

from stemsplit.checkpoints.entries import Model
from stemsplit.checkpoints.registry import list_models
from stemsplit.models import build
from stemsplit.models.bs_roformer import FREQS_PER_BANDS, BSRoformer, BSRoformerConfig
from stemsplit.models.roformer import FeedForward, rotary_frequencies, rotate

ARCHITECTURE = "bs_roformer:BSRoformer"
TINY: dict[str, Any] = SMALL | {"freqs_per_bands": [16, 16, 32, 64, 129]}
PUBLISHED = [model for model in list_models() if model.name.startswith("bs_roformer.")]


def tiny(**fields: Any) -> BSRoformer:
    torch.manual_seed(0)
    model = build(ARCHITECTURE, TINY | fields)
    assert isinstance(model, BSRoformer)
    fill(model)
    return model.eval()


# --- Counts --------------------------------------------------------------------------------------


def test_bands() -> None:
    assert len(FREQS_PER_BANDS) == 62
    assert sum(FREQS_PER_BANDS) == 1025
    assert FREQS_PER_BANDS[23:25] == (2, 4)
    assert FREQS_PER_BANDS[-3:] == (48, 128, 129)


@pytest.mark.parametrize(
    ("fields", "parameters"),
    [
        ({}, 159_758_092),
        ({"dim": 384}, 98_194_828),
        ({"dim": 384, "depth": 8, "mask_expansion": 2, "sources": (*"abcd",)}, 131_704_164),
        ({"dim": 256, "sources": (*"abcdef",)}, 174_656_564),
        ({"dim": 256}, 51_049_484),
        ({"depth": 16}, 184_985_420),
        ({"dim": 384, "depth": 8, "sources": (*"ab",)}, 131_687_764),
        ({"dim": 384, "depth": 10}, 90_307_436),
    ],
)
def test_counts_are_the_published_ones(fields: dict[str, Any], parameters: int) -> None:
    assert (
        sum(p.numel() for p in on_meta(ARCHITECTURE, **fields).parameters()) == parameters - ROTARY
    )


def test_as_many_tensors_as_published() -> None:
    """A published file stores its rotary frequencies with each of 24, 16 and 24 attentions."""
    assert len(on_meta(ARCHITECTURE).state_dict()) == 699 - 24
    assert len(on_meta(ARCHITECTURE, depth=8, sources=(*"abcd",)).state_dict()) == 1355 - 16
    assert len(on_meta(ARCHITECTURE, sources=(*"abcdef",)).state_dict()) == 1939 - 24


@pytest.mark.parametrize("entry", PUBLISHED, ids=lambda entry: entry.name)
def test_published_files_are_as_large_as_their_network(entry: Model) -> None:
    model = on_meta(entry.architecture, **entry.config)
    size = entry.sources[0].files[0].size
    assert size is not None
    weights = 4 * sum(p.numel() for p in model.parameters())
    assert 1 < size / weights < 1.005
    # Its configuration asks for 20 s, which is not a multiple; such lengths are tested below.
    if entry.name != "bs_roformer.karaoke_frazer":
        assert model.segment % model.config["hop_length"] == 0
    assert (entry.window or model.window, model.overlap) == ("fade", 0.5)


@pytest.mark.parametrize(
    ("name", "segment", "hop_length"),
    [("viperx_1297", 352_800, 441), ("viperx_1053", 131_584, 512), ("musdb18", 485_100, 441)],
)
def test_settings_of_published_networks(name: str, segment: int, hop_length: int) -> None:
    check_settings(f"bs_roformer.{name}", segment, hop_length)


def test_names_of_the_published_weights() -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in tiny().state_dict().items()}
    assert shapes["layers.1.0.layers.0.0.norm.gamma"] == (16,)
    assert shapes["layers.1.1.layers.0.0.to_qkv.weight"] == (48, 16)
    assert shapes["layers.0.0.layers.0.0.to_gates.bias"] == (2,)
    assert shapes["layers.0.0.layers.0.0.to_out.0.weight"] == (16, 16)
    assert shapes["layers.0.1.layers.0.1.net.0.gamma"] == (16,)
    assert shapes["layers.0.1.layers.0.1.net.1.weight"] == (64, 16)
    assert shapes["layers.0.1.layers.0.1.net.4.weight"] == (16, 64)
    assert shapes["final_norm.gamma"] == (16,)
    assert shapes["band_split.to_features.2.0.gamma"] == (128,)
    assert shapes["band_split.to_features.2.1.weight"] == (16, 128)
    assert shapes["mask_estimators.1.to_freqs.2.0.0.weight"] == (32, 16)
    assert shapes["mask_estimators.1.to_freqs.2.0.2.weight"] == (256, 32)


# --- Values --------------------------------------------------------------------------------------


def test_stored_values() -> None:
    """Computed by this network when it agreed with the oracle to 125 dB."""
    check_stored_values(tiny(zero_dc=False), STORED)


STORED = [
    [-0.52393, 0.45676, -1.17483, -0.59905, 0.31723],
    [-0.04715, 0.47602, -1.02075, -0.15893, 0.29192],
]


@settings(max_examples=25, deadline=None)
@given(samples=st.integers(1, 6000))
def test_a_mask_of_one_gives_the_mixture(samples: int) -> None:
    check_mask_of_one(tiny(zero_dc=False), samples)


def test_the_lowest_bin_is_silent() -> None:
    model = tiny()
    set_masks(model, lambda *_: 1)
    mix = noise(4096) + 0.2
    window = torch.hann_window(512)
    spectrum = torch.stft(mix[0], 512, 128, window=window, return_complex=True)
    spectrum[:, 0] = 0
    expected = torch.istft(spectrum, 512, 128, window=window, length=4096)
    torch.testing.assert_close(run(model, mix)[0, 0], expected, atol=2e-6, rtol=0)


@pytest.mark.parametrize(
    ("frequency", "band"), [(700, 0), (2000, 1), (4000, 2), (8000, 3), (16_000, 4)]
)
def test_a_band_has_its_frequencies(frequency: float, band: int) -> None:
    """Bins of 86 Hz: bands end at 1.3, 2.7, 5.5, 11 and 22 kHz."""
    model = tiny()
    set_masks(model, lambda source, at, channel: float((at == band) == (source == 0)))
    inside, outside = run(model, tone(frequency, 8192))[0, :, :, 1024:-1024]
    assert inside.std() == pytest.approx(0.5**0.5, rel=1e-2)
    assert outside.abs().max() < 1e-3


def test_a_mask_turns_the_phase_of_its_channel() -> None:
    model = tiny()
    set_masks(model, lambda source, band, channel: [1, 0.5j][channel])
    left, right = run(model, tone(4000, 8192))[0, 0, :, 1024:-1024]
    expected = tone(4000, 8192)[0, 0, 1024:-1024]
    turned = 0.5 * tone(4000, 8192, phase=torch.pi / 2)[0, 0, 1024:-1024]
    torch.testing.assert_close(left, expected, atol=2e-3, rtol=0)
    torch.testing.assert_close(right, turned, atol=2e-3, rtol=0)


def test_rotation_depends_on_distances_only() -> None:
    query, key = torch.randn(2, 1, 1, 16, generator=torch.Generator().manual_seed(0))
    queries, keys = rotate(query.expand(1, 50, 16)), rotate(key.expand(1, 50, 16))
    products = queries[0] @ keys[0].T
    for distance in (-20, 0, 7):
        diagonal = products.diagonal(distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), atol=2e-5, rtol=0)
    # The first pair by one radian a position, the last by almost nothing.
    turned = rotate(torch.tensor([1.0, 0.0] * 8).expand(1, 50, 16))[0]
    assert turned[3, 0] == pytest.approx(np.cos(3), abs=1e-6)
    assert turned[3, 1] == pytest.approx(np.sin(3), abs=1e-6)
    assert turned[3, 15] == pytest.approx(3 * 10_000 ** (-14 / 16), rel=1e-4)
    assert rotary_frequencies(16)[-1] == pytest.approx(10_000 ** (-14 / 16))


def test_the_feed_forward_part_by_hand() -> None:
    """With the exact GELU: the usual approximation by tanh is up to 5e-4 away."""
    part = FeedForward(BSRoformerConfig(dim=8)).eval()
    fill(part)
    w = {name: tensor.double() for name, tensor in part.state_dict().items()}
    x = 3 * torch.randn(5, 8, generator=torch.Generator().manual_seed(0)).double()
    y = x / x.norm(dim=-1, keepdim=True) * 8**0.5 * w["net.0.gamma"]
    y = y @ w["net.1.weight"].T + w["net.1.bias"]
    y = y * 0.5 * (1 + torch.erf(y / 2**0.5))
    y = y @ w["net.4.weight"].T + w["net.4.bias"]
    torch.testing.assert_close(part(x.float()).double(), y, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("skip_connection", "factor"), [(False, 1), (True, 5)])
def test_skips_add_all_earlier_outputs(skip_connection: bool, factor: float) -> None:
    """With transformers that add nothing, layers give 1, 1 + 1, 2 + (1 + 2) times the input."""
    model = tiny(depth=3, skip_connection=skip_connection)
    captured = {}
    model.band_split.register_forward_hook(lambda *call: captured.update(inside=call[2].clone()))
    model.final_norm.register_forward_pre_hook(lambda _, inputs: captured.update(after=inputs[0]))
    for name, weight in model.named_parameters():
        if "to_out" in name or "net.4" in name:
            weight.data.zero_()
    for inference in (True, False):
        with torch.inference_mode(inference):
            model(noise(4096))
        torch.testing.assert_close(captured["after"], factor * captured["inside"])


def test_dropout_only_in_training() -> None:
    model, mix = tiny(attn_dropout=0.5, ff_dropout=0.5), noise(4096)
    assert torch.equal(run(model, mix), run(tiny(), mix))
    assert not torch.equal(run(model.train(), mix), run(model, mix))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"sources": []}, "at least one source"),
        ({"depth": 0}, "depth must be at least 1, not 0"),
        ({"n_fft": 511}, "n_fft must be even, not 511"),
        ({"dim_head": 7}, "dim_head must be even, not 7"),
        ({"hop_length": 300}, "a hop of 300 is not within half a window of 512"),
        ({"ff_dropout": 1.0}, "ff_dropout must be a share below 1, not 1.0"),
        ({"freqs_per_bands": [200, 58]}, "freqs_per_bands have 258 bins, the spectrogram 257"),
        ({"freqs_per_bands": [257, 0]}, "freqs_per_bands have 257 bins"),
    ],
)
def test_impossible_values(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        build(ARCHITECTURE, TINY | fields)


# --- The oracle ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with reference_package(tmp_path_factory.mktemp("bs")) as found:
        yield found


@pytest.mark.network
@pytest.mark.parametrize(
    "fields",
    [
        {"dim": 64, "depth": 2},
        {"dim": 48, "depth": 3, "sources": ("a", "b", "c", "d"), "hop_length": 512},
        {"dim": 32, "depth": 1, "heads": 3, "dim_head": 32, "mask_layers": 3},
        {"dim": 32, "depth": 2, "time_transformer_depth": 2, "audio_channels": 1},
    ],
)
@pytest.mark.parametrize("frames", [5, 61])
def test_the_numbers_are_those_of_the_oracle(
    package: Any, fields: dict[str, Any], frames: int
) -> None:
    config = BSRoformerConfig(zero_dc=False, **fields)
    model = BSRoformer(config).eval()
    reference = package.BSRoformer(
        **reference_arguments(config),
        mask_estimator_depth=config.mask_layers,
    )
    share_weights(reference, model)
    mix = noise(config.hop_length * frames, batch=2)[:, : config.audio_channels]
    assert signal_to_difference(separate(reference, mix), run(model, mix)) > 100


@pytest.mark.parametrize("frames", [4_410, 4_411, 5_000])
def test_a_segment_need_not_be_a_multiple_of_the_hop(frames: int) -> None:
    model = tiny().eval()
    mix = torch.randn(1, model.channels, frames, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        stems = model(mix)
    assert stems.shape == (1, len(model.sources), model.channels, frames)
    assert stems[..., -100:].abs().max() > 0
