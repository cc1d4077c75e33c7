"""Mel-Band RoFormer: its bands, counts, masks by hand, stored values, checkpoints, the oracle."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

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
    published_bands,
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
from stemsplit.models.mel_band_roformer import (
    MelBandRoformer,
    MelBandRoformerConfig,
    mel_bands,
)

ARCHITECTURE = "mel_band_roformer:MelBandRoformer"
TINY: dict[str, Any] = SMALL | {"num_bands": 8}
PUBLISHED = [model for model in list_models() if model.name.startswith("mel_band_roformer.")]


def tiny(**fields: Any) -> MelBandRoformer:
    torch.manual_seed(0)
    model = build(ARCHITECTURE, TINY | fields)
    assert isinstance(model, MelBandRoformer)
    fill(model)
    return model.eval()


# --- Bands and counts ----------------------------------------------------------------------------


def test_bands_are_the_published_ones() -> None:
    assert [(start, stop - 1) for start, stop in mel_bands(60, 2048, 44_100)] == published_bands()
    counts = on_meta(ARCHITECTURE).bands_of_bin
    assert counts.shape == (1025,)
    counts = MelBandRoformer(MelBandRoformerConfig(dim=2, depth=1)).bands_of_bin
    assert (counts == 1).sum() == 71
    assert (counts == 2).sum() == 954


@settings(max_examples=50)
@given(
    count=st.integers(1, 200),
    n_fft=st.sampled_from([256, 512, 2048, 4096]),
    rate=st.sampled_from([16_000, 44_100, 48_000]),
)
def test_every_bin_is_in_a_band(count: int, n_fft: int, rate: int) -> None:
    try:
        bands = mel_bands(count, n_fft, rate)
    except ValueError:
        assert count > 8
        return
    assert len(bands) == count
    covered = {bin for start, stop in bands for bin in range(start, stop)}
    assert covered == set(range(n_fft // 2 + 1))


@pytest.mark.parametrize(
    ("fields", "parameters"),
    [
        ({}, 228_202_852),
        ({"depth": 12}, 251_869_636),
        ({"mask_layers": 4}, 369_852_772),
        ({"mask_layers": 4, "depth": 12}, 393_519_556),
        ({"dim": 512}, 389_197_156),
        ({"dim": 512, "depth": 12}, 427_044_292),
        ({"depth": 8}, 236_091_780),
        ({"sources": (*"ab",)}, 429_668_156),
        ({"dim": 256, "depth": 12, "sources": (*"ab",)}, 217_301_916),
        ({"dim": 256, "depth": 12}, 122_308_036),
        ({"mask_expansion": 1}, 50_573_668),
        ({"dim": 256, "depth": 4, "mask_expansion": 1}, 22_435_140),
        ({"depth": 8, "n_fft": 4096, "hop_length": 882, "sources": (*"abcd",)}, 940_819_764),
    ],
)
def test_counts_are_the_published_ones(fields: dict[str, Any], parameters: int) -> None:
    assert (
        sum(p.numel() for p in on_meta(ARCHITECTURE, **fields).parameters()) == parameters - ROTARY
    )


def test_as_many_tensors_as_published() -> None:
    """A published file stores its rotary frequencies with each of 12 and 24 attentions."""
    assert len(on_meta(ARCHITECTURE).state_dict()) == 684 - 12
    assert len(on_meta(ARCHITECTURE, depth=12).state_dict()) == 828 - 24


@pytest.mark.parametrize("entry", PUBLISHED, ids=lambda entry: entry.name)
def test_published_files_are_as_large_as_their_network(entry: Model) -> None:
    model = on_meta(entry.architecture, **entry.config)
    assert model.segment % model.config["hop_length"] == 0
    assert (entry.window or model.window, model.overlap) == ("fade", 0.5)
    size = entry.sources[0].files[0].size
    if size is None:
        pytest.skip("the size of this file is unpublished")
    half = entry.name in ("mel_band_roformer.deux", "mel_band_roformer.guitar")  # stored as fp16
    weights = (2 if half else 4) * sum(p.numel() for p in model.parameters())
    assert 1 < size / weights < 1.01


@pytest.mark.parametrize(
    ("name", "segment", "hop_length"),
    [("kim", 352_800, 441), ("deux", 573_300, 441), ("big_beta6x", 529_200, 441)],
)
def test_settings_of_published_networks(name: str, segment: int, hop_length: int) -> None:
    check_settings(f"mel_band_roformer.{name}", segment, hop_length)


def test_names_of_the_published_weights() -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in tiny().state_dict().items()}
    assert shapes["layers.1.0.norm.gamma"] == (16,)
    assert shapes["layers.1.1.norm.gamma"] == (16,)
    assert not any(name.startswith("final_norm") for name in shapes)
    assert shapes["mask_estimators.1.to_freqs.0.0.2.weight"] == (32, 32)
    assert shapes["mask_estimators.1.to_freqs.0.0.4.weight"][1] == 32


# --- Values --------------------------------------------------------------------------------------


def test_stored_values() -> None:
    """Computed by this network when it agreed with the oracle to 125 dB."""
    check_stored_values(tiny(zero_dc=False), STORED)


STORED = [
    [0.20762, 0.90476, -1.29538, 0.20297, 0.73909],
    [-0.19101, 0.49005, -1.23236, -0.19022, 0.38706],
]


@settings(max_examples=25, deadline=None)
@given(samples=st.integers(1, 6000))
def test_a_mask_of_one_gives_the_mixture(samples: int) -> None:
    check_mask_of_one(tiny(zero_dc=False), samples)


def test_what_two_bands_share_gets_the_mean_of_their_masks() -> None:
    """A tone in the middle of what bands 5 and 6 share; band 6 alone turns the phase."""
    (_, stop), (start, _) = mel_bands(8, 512, 44_100)[5:7]
    assert stop - start > 8  # enough for the main lobe of the window, which is 4 bins wide
    frequency = (start + stop) / 2 * 44_100 / 512
    model = tiny()
    set_masks(model, lambda source, band, channel: [{5: 1, 6: 1j}, {6: 1}][source].get(band, 0))
    vocals, rest = run(model, tone(frequency, 8192))[0, :, 0, 1024:-1024]
    original = tone(frequency, 8192)[0, 0, 1024:-1024]
    turned = tone(frequency, 8192, phase=torch.pi / 2)[0, 0, 1024:-1024]
    torch.testing.assert_close(vocals, (original + turned) / 2, atol=5e-3, rtol=0)
    torch.testing.assert_close(rest, original / 2, atol=5e-3, rtol=0)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"num_bands": 0}, "num_bands must be at least 1, not 0"),
        ({"num_bands": 200}, "200 bands are too many for windows of 512 samples"),
        ({"mask_layers": 0}, "mask_layers must be at least 1, not 0"),
    ],
)
def test_impossible_values(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        build(ARCHITECTURE, TINY | fields)


# --- The oracle ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with reference_package(tmp_path_factory.mktemp("mel")) as found:
        yield found


@pytest.mark.network
@pytest.mark.parametrize(
    "fields",
    [
        {"dim": 64, "depth": 2},
        {"dim": 48, "depth": 3, "sources": ("a", "b", "c", "d"), "hop_length": 512},
        {"dim": 32, "depth": 1, "heads": 3, "dim_head": 32, "mask_layers": 4},
        {"dim": 32, "depth": 2, "freq_transformer_depth": 2, "audio_channels": 1},
    ],
)
@pytest.mark.parametrize("samples", [5 * 441, 30_001])
def test_the_numbers_are_those_of_the_oracle(
    package: Any, fields: dict[str, Any], samples: int
) -> None:
    config = MelBandRoformerConfig(zero_dc=False, **fields)
    model = MelBandRoformer(config).eval()
    reference = package.MelBandRoformer(
        **reference_arguments(config),
        mask_estimator_depth=config.mask_layers - 1,  # it counts the hidden ones
        match_input_audio_length=True,
    )
    share_weights(reference, model)
    mix = noise(samples, batch=2)[:, : config.audio_channels]
    assert signal_to_difference(separate(reference, mix), run(model, mix)) > 100
