"""MDX23C: counts, stored values, and the numbers of the reference with the same weights."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from msst_reference import reference_modules, share_weights
from networks import noise, on_meta, run, waves
from oracles import randomise, signal_to_difference

from stemsplit.checkpoints.entries import Model
from stemsplit.checkpoints.registry import list_models
from stemsplit.models import build
from stemsplit.models.mdx23c import MDX23C

TINY: dict[str, Any] = {
    "sources": ["vocals", "rest"],
    "segment": 128 * 15,
    "n_fft": 512,
    "hop_length": 128,
    "bins": 256,
    "scales": 2,
    "channels": 8,
    "growth": 4,
}
PUBLISHED = [model for model in list_models() if model.name.startswith("mdx23c")]


def tiny(**fields: Any) -> MDX23C:
    model = build("mdx23c:MDX23C", TINY | fields)
    assert isinstance(model, MDX23C)
    fill(model)
    return model.eval()


def fill(model: torch.nn.Module) -> None:
    """Give ``model`` weights that are the same everywhere, norms near 1."""
    with torch.no_grad():
        for number, weight in enumerate(model.parameters()):
            values = waves(number, weight)
            norm = weight.dim() == 1
            values = 1 + 0.3 * values if norm else values * (2 / weight[0].numel()) ** 0.5
            weight.copy_(values.view_as(weight))


@pytest.mark.parametrize(("stems", "parameters"), [(2, 111_990_272), (4, 111_994_368)])
def test_counts_are_the_published_ones(stems: int, parameters: int) -> None:
    state = on_meta("mdx23c:MDX23C", sources=tuple("abcd"[:stems])).state_dict()
    assert sum(tensor.numel() for tensor in state.values()) == parameters
    assert len(state) == 319


@pytest.mark.parametrize("entry", PUBLISHED, ids=lambda entry: entry.name)
def test_published_files_are_as_large_as_their_networks(entry: Model) -> None:
    state = on_meta(entry.architecture, **entry.config).state_dict()
    size = entry.sources[0].files[0].size
    if size is None:
        pytest.skip("the size of this file is unpublished")
    overhead = size - 4 * sum(tensor.numel() for tensor in state.values())
    assert overhead // len(state) in range(250, 451)


@pytest.mark.parametrize("name", ["mdx23c.instvoc_hq", "mdx23c.musdb"])
def test_settings_of_the_published_networks(name: str) -> None:
    entry = next(model for model in PUBLISHED if model.name == name)
    model = on_meta(entry.architecture, **entry.config)
    assert isinstance(model, MDX23C)
    config = model.settings
    assert (config.n_fft, config.hop_length, config.bins) == (8192, 1024, 4096)
    assert (config.norm, config.activation) == ("InstanceNorm", "gelu")
    # 256 frames of spectrogram.
    assert (model.segment, model.overlap, model.window) == (255 * 1024, 0.75, "fade")


@settings(max_examples=15, deadline=None)
@given(samples=st.integers(1, 4000))
def test_any_length(samples: int) -> None:
    stems = run(tiny(blocks_per_scale=1), noise(samples))
    assert stems.shape == (1, 2, 2, samples)
    assert stems.isfinite().all()


def test_what_is_short_is_a_segment_that_ends_in_silence() -> None:
    model, mix = tiny(), noise(1000)
    whole = run(model, torch.nn.functional.pad(mix, (0, model.segment - 1000)))
    assert torch.equal(run(model, mix), whole[..., :1000])


def test_bins_above_are_silent() -> None:
    """Of 257 bins, the network gives the lowest 128: nothing above a quarter of the rate."""
    stems = run(tiny(bins=128), noise(128 * 15))
    spectrum = torch.stft(
        stems.flatten(0, 2), 512, 128, window=torch.hann_window(512), return_complex=True
    ).abs()[..., 4:-4]
    # Frames that contradict each other where they overlap leave a little above.
    assert spectrum[:, 136:].amax() < 0.01 * spectrum.amax()
    assert spectrum[:, 100:128].amax() > 0.1 * spectrum.amax()


def test_stored_values() -> None:
    stems = run(tiny(), noise(128 * 15))
    found = [float(stems[0, source, channel, 1000]) for source in range(2) for channel in range(2)]
    assert found == pytest.approx(STORED, rel=1e-3)
    assert float(stems.std()) == pytest.approx(STORED_DEVIATION, rel=1e-4)


STORED = [0.00409439, -0.0103405, 0.00424497, 0.006917]
STORED_DEVIATION = 0.0106556


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"sources": []}, "at least one source"),
        ({"channels": 0}, "channels must be at least 1, not 0"),
        ({"scales": -1}, "scales must be at least 0, not -1"),
        ({"hop_length": 300}, "a hop of 300 is not within half a window of 512"),
        ({"bins": 264}, "a window of 512 samples has no 264 bins"),
        ({"bins": 200}, "200 bins cannot be cut into 4 sub-bands of 2 scales"),
        ({"scale": [2]}, "scale must be two factors"),
        ({"bottleneck_factor": 32}, "a bottleneck_factor of 32 leaves no values"),
        ({"norm": "LayerNorm"}, "norm 'LayerNorm' is unknown, or not for 8 channels"),
        ({"norm": "GroupNorm3"}, "norm 'GroupNorm3' is unknown, or not for 8 channels"),
        ({"activation": "swish"}, "activation 'swish' is unknown"),
    ],
)
def test_impossible_values(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        build("mdx23c:MDX23C", TINY | fields)


# --- The oracle ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with reference_modules(tmp_path_factory.mktemp("msst"), "models.mdx23c_tfc_tdf_v3") as (
        module,
    ):
        yield module


@pytest.mark.network
@pytest.mark.parametrize("hops", [31, 63])
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"norm": "GroupNorm4", "activation": "elu1.5", "sources": ["a", "b", "c", "d"]},
        {"norm": "BatchNorm", "activation": "relu", "scale": [1, 2], "subbands": 2},
        {"bins": 128, "blocks_per_scale": 1, "bottleneck_factor": 2},
    ],
)
def test_the_numbers_are_those_of_the_oracle(
    reference: Any, fields: dict[str, Any], hops: int
) -> None:
    model = tiny(**fields)
    config = SimpleNamespace(**model.config)
    oracle = reference.TFC_TDF_net(
        SimpleNamespace(
            model=SimpleNamespace(
                norm=config.norm,
                act=config.activation,
                num_subbands=config.subbands,
                num_scales=config.scales,
                scale=list(config.scale),
                num_blocks_per_scale=config.blocks_per_scale,
                num_channels=config.channels,
                growth=config.growth,
                bottleneck_factor=config.bottleneck_factor,
            ),
            audio=SimpleNamespace(
                num_channels=2,
                dim_f=config.bins,
                n_fft=config.n_fft,
                hop_length=config.hop_length,
            ),
            training=SimpleNamespace(instruments=config.sources),
        )
    ).eval()
    randomise(oracle)
    share_weights(oracle, model)
    mix = noise(128 * hops, batch=2)
    with torch.inference_mode():
        expected = oracle(mix)
    assert signal_to_difference(expected, run(model, mix)) > 90
