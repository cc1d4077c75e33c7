"""Hybrid Demucs against the reference with the same weights, and what it promises besides."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from oracles import randomise, signal_to_difference
from torch import Tensor

from stemsplit.models.hdemucs import HDemucs, HDemucsConfig
from stemsplit.separation.engine import Engine

MAGNITUDES = {"cac": False}
BANDS = {"multi_freqs": (0.25, 0.5)}
#: A window of 256 samples: branches meet in the third layer, the fourth is shared.
SMALL = {"nfft": 256, "depth": 4, "norm_starts": 2, "dconv_attn": 2, "dconv_lstm": 2}
CONFIGS: dict[str, dict[str, Any]] = {
    "published": {},
    "magnitudes": MAGNITUDES,
    "magnitudes, old": {**MAGNITUDES, "hybrid_old": True},
    "magnitudes, filtered": {**MAGNITUDES, "wiener_iters": 1},
    "magnitudes, filtered with a residual": {
        **MAGNITUDES,
        "wiener_iters": 2,
        "wiener_residual": True,
    },
    "old": {"hybrid_old": True},
    "bands": BANDS,
    "one cut, three layers": {"multi_freqs": (0.3,), "multi_freqs_depth": 3},
    "bands of magnitudes, branches everywhere": {**BANDS, **MAGNITUDES, "dconv_mode": 3},
    "without branches": {"dconv_mode": 0},
    "narrower in time": {"channels_time": 4},
    "wider in time": {"channels_time": 12},
    "small": {**SMALL, "dconv_mode": 3},
    "mono": {**SMALL, "audio_channels": 1, "sources": ("speech", "rest"), "sample_rate": 8_000},
}


def reference_hdemucs(config: HDemucsConfig) -> Any:
    """Return demucs' HDemucs of ``config``, in evaluation mode, with fresh weights."""
    from demucs.hdemucs import HDemucs as Reference

    fields = {name: getattr(config, name) for name in config.__slots__}
    del fields["sample_rate"]
    fields |= {
        "sources": list(config.sources),
        "samplerate": config.sample_rate,
        "segment": config.segment / config.sample_rate,
        "channels_time": config.channels_time or None,
        "multi_freqs": list(config.multi_freqs),
        "end_iters": config.wiener_iters,
    }
    return Reference(**fields).eval()


def noise(config: HDemucsConfig, samples: int, batch: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(samples)
    return 0.1 * torch.randn(batch, config.audio_channels, samples, generator=generator)


def test_the_published_configuration_has_the_size_of_the_reference() -> None:
    with torch.device("meta"):
        ours = HDemucs(HDemucsConfig())
        theirs = reference_hdemucs(HDemucsConfig()).state_dict()
    state = ours.state_dict()
    assert {k: v.shape for k, v in state.items()} == {k: v.shape for k, v in theirs.items()}
    assert sum(weight.numel() for weight in ours.parameters()) == 83_637_832
    assert len(state) == 395
    assert (ours.segment, ours.sample_rate, ours.channels) == (1_940_400, 44_100, 2)
    assert ours.standardised


@pytest.mark.parametrize("fields", CONFIGS.values(), ids=CONFIGS)
def test_networks_equal_the_reference(fields: dict[str, Any]) -> None:
    config = HDemucsConfig(**{"channels": 8, **fields})
    torch.manual_seed(0)
    ours = HDemucs(config).eval()
    randomise(ours)
    reference = reference_hdemucs(config)
    reference.load_state_dict(ours.state_dict(), strict=True)
    for samples in (12_011, 4_096, 2):
        mix = noise(config, samples, batch=2)
        with torch.no_grad():
            assert signal_to_difference(reference(mix), ours(mix)) > 110


def test_a_song_is_separated_as_by_the_published_program() -> None:
    """Up to the end: the rest after the last whole hop is a separate segment there."""
    from demucs.apply import apply_model

    config = HDemucsConfig(**SMALL, channels=8, segment=22_050)
    torch.manual_seed(0)
    ours = HDemucs(config).eval()
    randomise(ours)
    reference = reference_hdemucs(config)
    reference.load_state_dict(ours.state_dict(), strict=True)
    for samples in (9_001, 16_538, 16_540, 22_050, 60_001, 66_148):
        song = noise(config, samples)
        with torch.no_grad():
            theirs = apply_model(reference, song, shifts=0, overlap=0.25)[0]
            found = torch.cat(list(Engine(ours, device="cpu").separate([song[0]])), dim=-1)
        assert found.shape == theirs.shape
        assert signal_to_difference(theirs, found) > 100


@pytest.mark.parametrize("nfft", [64, 128, 256, 512, 1024, 2048])
def test_branches_meet_at_the_hop_of_any_window(nfft: int) -> None:
    config = HDemucsConfig(channels=4, nfft=nfft, depth=6, dconv_comp=2, dconv_attn=6)
    strides = 4**config.meeting * config.meeting_stride
    assert strides == nfft // 4
    assert 2 <= config.meeting_rows <= 8
    with torch.no_grad():
        assert HDemucs(config)(noise(config, 3_001)).shape == (1, 4, 2, 3_001)


def test_bands_with_the_same_weights_are_one_band() -> None:
    plain = HDemucs(HDemucsConfig(channels=8, depth=6)).eval()
    banded = HDemucs(HDemucsConfig(channels=8, depth=6, multi_freqs=(0.2, 0.6))).eval()
    randomise(plain)
    state = dict(banded.state_dict())
    for name, weight in plain.state_dict().items():
        outermost = {"encoder.0", "encoder.1", "decoder.4", "decoder.5"}
        branch = ".".join(name.split(".")[:2])
        if branch not in outermost:
            state[name] = weight
            continue
        for band in range(3):
            key = name.replace(branch, f"{branch}.layers.{band}", 1)
            # A band's first convolution of the decoder sees one row; so shall that of the whole.
            if state[key].shape != weight.shape:
                with torch.no_grad():
                    weight[:, :, 0] = weight[:, :, 2] = 0
                state[key] = weight[:, :, 1:2]
            else:
                state[key] = weight
    banded.load_state_dict(state, strict=True)
    mix = noise(HDemucsConfig(), 12_000)
    with torch.no_grad():
        assert signal_to_difference(plain(mix), banded(mix)) > 110


def test_old_networks_are_padded_with_zeros_and_return_late() -> None:
    """Their weights have learned with it, so that it has to stay."""
    config = HDemucsConfig(hybrid_old=True)
    with torch.device("meta"):
        spectrogram = HDemucs(config).spectrogram
    wave = noise(config, 20_000)
    old = spectrogram.inverse(spectrogram(wave), 20_000)
    late = 3 * config.nfft // 8
    inside = slice(config.nfft, -config.nfft)
    shifted = torch.roll(wave, late, -1)
    # But for the Nyquist bin, which is left out.
    assert signal_to_difference(shifted[..., inside], old[..., inside]) > 25


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"sources": ()}, "at least one source"),
        ({"channels": 0}, "channels must be at least 1, not 0"),
        ({"nfft": 1000}, "nfft must be a power of 2, not 1000"),
        ({"nfft": 16}, "nfft must be at least 32, not 16"),
        ({"wiener_iters": 1}, "wiener_iters must be 0 with cac"),
        ({"wiener_iters": -1, "cac": False}, "wiener_iters must be at least 0, not -1"),
        ({"depth": 4}, "branches of nfft 4096 do not meet within 4 layers"),
        ({"norm_starts": 3}, "norm_starts must be at least 4, not 3"),
        ({"norm_groups": 5}, "768 channels do not divide into 5 groups"),
        ({"dconv_mode": 7}, "dconv_mode must be 0, 1, 2 or 3, not 7"),
        ({"dconv_comp": 49}, "dconv_comp must be 1 to 48, not 49"),
        ({"channels_time": 24, "dconv_comp": 30}, "dconv_comp must be 1 to 24, not 30"),
        (
            {"channels": 12, "dconv_attn": 0},
            "layer 0 have 3 channels, .* into 4 heads",
        ),
        ({"multi_freqs": (0.5, 0.4)}, "multi_freqs must rise between 0 and 1"),
        ({"multi_freqs": (0.5,), "multi_freqs_depth": 5}, "multi_freqs_depth must be 1 to 4"),
    ],
)
def test_a_configuration_that_gives_no_network_is_refused(
    fields: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        HDemucsConfig(**fields)
