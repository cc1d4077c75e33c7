"""HTDemucs against the reference network with the same weights, and what it promises besides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from oracles import randomise, reference_htdemucs, signal_to_difference

from stemsplit.checkpoints import loading
from stemsplit.errors import CheckpointError
from stemsplit.models.htdemucs import HTDemucs, HTDemucsConfig, embed_grid, embed_positions

SIX_SOURCES = ("drums", "bass", "other", "vocals", "guitar", "piano")
SIX_STEMS = HTDemucsConfig(sources=SIX_SOURCES, bottom_channels=0)

SMALL: dict[str, Any] = {
    "channels": 16,
    "depth": 2,
    "nfft": 512,
    "bottom_channels": 24,
    "t_layers": 2,
    "t_heads": 2,
    "segment": 6_000,
}
SMALL_CONFIGS = {
    "small": SMALL,
    "no bottleneck": {**SMALL, "bottom_channels": 0, "t_layers": 3},
    "full depth": {**SMALL, "depth": 4, "nfft": 4096, "segment": 30_011, "t_heads": 4},
    "six sources": {**SMALL, "sources": SIX_SOURCES},
    "mono, one layer": {
        **SMALL,
        "audio_channels": 1,
        "sources": ("speech", "rest"),
        "t_layers": 1,
        "sample_rate": 8_000,
    },
    "branches in the encoder": {**SMALL, "dconv_mode": 1},
    "branches in the decoder": {**SMALL, "dconv_mode": 2},
    "no branches": {**SMALL, "dconv_mode": 0},
}


def shapes(model: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def pair(config: HTDemucsConfig) -> tuple[HTDemucs, Any]:
    """Return our network and the reference's with the same random weights."""
    torch.manual_seed(0)
    ours = HTDemucs(config).eval()
    randomise(ours)
    reference = reference_htdemucs(config)
    reference.load_state_dict(ours.state_dict(), strict=True)
    return ours, reference


def noise(config: HTDemucsConfig, frames: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(frames)
    return 0.1 * torch.randn(1, config.audio_channels, frames, generator=generator)


def test_published_configuration_has_the_published_size() -> None:
    with torch.device("meta"):
        model = HTDemucs(HTDemucsConfig())
    assert sum(weight.numel() for weight in model.parameters()) == 41_984_456
    assert len(model.state_dict()) == 533
    assert (model.segment, model.sample_rate, model.channels) == (343_980, 44_100, 2)
    assert model.sources == ("drums", "bass", "other", "vocals")
    assert model.standardised


@pytest.mark.parametrize("config", [HTDemucsConfig(), SIX_STEMS], ids=["4 stems", "6 stems"])
def test_weights_have_the_names_and_shapes_of_the_reference(config: HTDemucsConfig) -> None:
    with torch.device("meta"):
        assert shapes(HTDemucs(config)) == shapes(reference_htdemucs(config))


def test_six_stems_transform_at_the_width_of_the_last_layer() -> None:
    assert SIX_STEMS.width == 384
    with torch.device("meta"):
        model = HTDemucs(SIX_STEMS)
    assert model.crosstransformer.layers[0].linear1.weight.shape == (1536, 384)


@pytest.mark.parametrize("fields", SMALL_CONFIGS.values(), ids=SMALL_CONFIGS)
def test_small_networks_equal_the_reference(fields: dict[str, Any]) -> None:
    config = HTDemucsConfig(**fields)
    ours, reference = pair(config)
    for frames in (config.segment, config.segment - 1, config.segment // 2 + 1, 3):
        mix = noise(config, frames)
        with torch.no_grad():
            assert signal_to_difference(reference(mix), ours(mix)) > 105


@pytest.mark.slow
@pytest.mark.parametrize("config", [HTDemucsConfig(), SIX_STEMS], ids=["4 stems", "6 stems"])
def test_published_networks_equal_the_reference(config: HTDemucsConfig) -> None:
    ours, reference = pair(config)
    for frames in (343_980, 100_001):
        mix = noise(config, frames)
        with torch.no_grad():
            assert signal_to_difference(reference(mix), ours(mix)) > 110


@pytest.mark.slow
@pytest.mark.weights
@pytest.mark.parametrize("name", ["htdemucs", "htdemucs_6s"])
def test_published_weights_equal_the_reference_on_a_song(name: str) -> None:
    songs = sorted((Path(__file__).parents[2] / "shared" / "stems").glob("*/*/mixture.flac"))
    if not songs:
        pytest.skip("no songs here")
    try:
        for _ in loading.prepare(name):
            pass
        ours = loading.load(name)
    except CheckpointError as exc:
        pytest.skip(str(exc))
    assert isinstance(ours, HTDemucs)
    reference = reference_htdemucs(HTDemucsConfig(**ours.config))
    reference.load_state_dict(ours.state_dict(), strict=True)
    audio, _ = soundfile.read(songs[0], frames=ours.segment, dtype="float32", always_2d=True)
    mix = torch.from_numpy(np.ascontiguousarray(audio.T)).expand(2, -1)[None]
    mix = mix / mix.std()
    with torch.no_grad():
        assert signal_to_difference(reference(mix), ours(mix)) > 90


def test_a_mix_longer_than_the_segment_is_refused() -> None:
    config = HTDemucsConfig(**SMALL)
    with pytest.raises(ValueError, match="6001 samples are more than the segment of 6000"):
        HTDemucs(config)(noise(config, 6_001))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"channels": 4}, "channels must be at least 8, not 4"),
        ({"nfft": 512}, "nfft of 512 does not divide into 4 layers"),
        ({"nfft": 4100}, "nfft of 4100 does not divide into 4 layers"),
        ({"bottom_channels": 100}, "width of 100 does not divide into 8 heads"),
        ({"depth": 0}, "depth must be at least 1, not 0"),
        ({"segment": 0}, "segment must be at least 1, not 0"),
        ({"sources": ()}, "at least one source"),
    ],
)
def test_a_configuration_that_gives_no_network_is_refused(
    fields: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        HTDemucsConfig(**fields)


def test_positions_are_computed_once_and_serve_training_after_inference() -> None:
    model = HTDemucs(HTDemucsConfig(**SMALL))
    mix = noise(HTDemucsConfig(**SMALL), 6_000)
    embed_positions.cache_clear()
    embed_grid.cache_clear()
    with torch.inference_mode():
        model(mix)
    model(mix).square().mean().backward()
    for cache in (embed_positions, embed_grid):
        assert (cache.cache_info().misses, cache.cache_info().hits) == (1, 1)
    assert len(model.state_dict()) == len(dict(model.named_parameters()))


def test_a_fresh_network_starts_as_the_reference_does() -> None:
    torch.manual_seed(0)
    config = HTDemucsConfig(**SMALL_CONFIGS["full depth"])
    ours, reference = HTDemucs(config).state_dict(), reference_htdemucs(config).state_dict()
    for name, weight in ours.items():
        if weight.numel() < 500:
            # Too few values to compare deviations; scales and norms are constants.
            constant = name.endswith(".scale") or "norm" in name
            assert not constant or torch.equal(weight, reference[name]), name
        else:
            assert weight.std().item() == pytest.approx(reference[name].std().item(), rel=0.25), (
                name
            )


def test_two_steps_of_training_lower_the_loss() -> None:
    torch.manual_seed(0)
    config = HTDemucsConfig(**SMALL)
    model = HTDemucs(config).train()
    stems = 0.1 * torch.randn(2, len(config.sources), 2, config.segment)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(3):
        loss = (model(stems.sum(1)) - stems).abs().mean()
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[2] < losses[1] < losses[0]
