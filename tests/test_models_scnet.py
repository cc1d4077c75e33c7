"""SCNet: counts, bands, stored values, and the numbers of the reference with the same weights."""

from __future__ import annotations

from collections.abc import Iterator
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
from stemsplit.models.scnet import SCNet, SCNetConfig, split_bands

TINY: dict[str, Any] = {
    "sources": ["vocals", "rest"],
    "segment": 8192,
    "n_fft": 512,
    "hop_length": 128,
    "dims": [8, 16],
    "band_strides": [1, 4, 8],
    "band_kernels": [3, 4, 8],
    "dual_path_layers": 2,
}
LARGE = {"dims": (64, 128, 256), "band_ratios": (0.225, 0.372, 0.403)}
XL = {"dims": (64, 128, 256), "band_ratios": (0.23, 0.37, 0.4), "dual_path_layers": 8}
IHF = {**XL, "band_strides": (1, 4, 4), "band_kernels": (3, 4, 4), "conv_depths": (3, 3, 3)}
PUBLISHED = [model for model in list_models() if model.name.startswith("scnet")]
#: What a pickle adds to each tensor's values, in bytes, in the files whose sizes are known.
PICKLE_OVERHEAD = range(250, 451)


def tiny(**fields: Any) -> SCNet:
    model = build("scnet:SCNet", TINY | fields)
    assert isinstance(model, SCNet)
    fill(model)
    return model.eval()


def fill(model: torch.nn.Module) -> None:
    """Give ``model`` weights that are the same everywhere."""
    with torch.no_grad():
        for number, weight in enumerate(model.parameters()):
            values = waves(number, weight)
            scale = 0.3 if weight.dim() == 1 else (2 / weight[0].numel()) ** 0.5
            weight.copy_((scale * values).view_as(weight))


@pytest.mark.parametrize(
    ("fields", "parameters", "tensors"),
    [
        ({}, 10_578_768, 372),
        (LARGE, 42_181_232, 372),
        (XL, 54_006_896, 420),
        (IHF, 53_466_800, 510),
    ],
)
def test_counts_are_the_published_ones(
    fields: dict[str, Any], parameters: int, tensors: int
) -> None:
    state = on_meta("scnet:SCNet", **fields).state_dict()
    assert sum(tensor.numel() for tensor in state.values()) == parameters
    assert len(state) == tensors


@pytest.mark.parametrize("entry", PUBLISHED, ids=lambda entry: entry.name)
def test_published_files_are_as_large_as_their_networks(entry: Model) -> None:
    state = on_meta(entry.architecture, **entry.config).state_dict()
    size = entry.sources[0].files[0].size
    assert size is not None
    overhead = size - 4 * sum(tensor.numel() for tensor in state.values())
    assert overhead // len(state) in PICKLE_OVERHEAD


def test_settings_of_the_published_networks() -> None:
    for entry in PUBLISHED:
        model = on_meta(entry.architecture, **entry.config)
        assert isinstance(model, SCNet)
        config = model.settings
        assert (config.n_fft, config.hop_length, config.normalized) == (4096, 1024, True)
        assert (model.segment, model.overlap, model.window) == (485_100, 0.75, "fade")
        assert model.sources == ("drums", "bass", "other", "vocals")
    assert tiny().rectangle.eq(1).all()


def test_bands_of_the_published_networks() -> None:
    # 2049 rows: 359 as they are, 803 by four, 887 by sixteen.
    assert [(b.start, b.stop, b.rows) for b in split_bands(SCNetConfig(), 2049)] == [
        (0, 359, 359),
        (359, 1162, 201),
        (1162, 2049, 56),
    ]


@given(
    rows=st.integers(60, 3000),
    low=st.floats(0.1, 0.4),
    middle=st.floats(0.1, 0.4),
    strides=st.tuples(*[st.sampled_from([1, 2, 4, 16])] * 3),
)
def test_bands_cover_all_rows(
    rows: int, low: float, middle: float, strides: tuple[int, ...]
) -> None:
    config = SCNetConfig(
        band_ratios=(low, middle, 1 - low - middle),
        band_strides=strides,
        band_kernels=tuple(3 if stride == 1 else stride for stride in strides),
        dims=(8,),
    )
    bands = split_bands(config, rows)
    assert [band.start for band in bands] == [0, *(band.stop for band in bands[:-1])]
    assert bands[-1].stop == rows
    for band in bands:
        padded = band.stop - band.start + sum(band.padding)
        assert (padded - band.kernel) // band.stride + 1 == band.rows
        assert padded - (band.kernel - 1 if band.stride == 1 else 0) == band.rows * band.stride


@settings(max_examples=15, deadline=None)
@given(samples=st.integers(1, 3000))
def test_any_length(samples: int) -> None:
    stems = run(tiny(dual_path_layers=0), noise(samples))
    assert stems.shape == (1, 2, 2, samples)
    assert stems.isfinite().all()


@pytest.mark.parametrize(
    ("samples", "frames"),
    [(16_384, 130), (16_383, 130), (16_256, 130), (16_255, 128), (16_128, 128), (16_127, 128)],
)
def test_frames_are_filled_up_to_an_even_number(samples: int, frames: int) -> None:
    """A hop more than begins in the mixture, and one more where that would make them odd."""
    model, captured = tiny(n_fft=512, hop_length=128, dual_path_layers=0), []
    model.separation_net.register_forward_hook(
        lambda *given: captured.append(given[1][0].shape[-1])
    )
    run(model, noise(samples))
    assert captured == [frames]


def test_stored_values() -> None:
    stems = run(tiny(), noise(4096))
    found = [float(stems[0, source, channel, 2000]) for source in range(2) for channel in range(2)]
    assert found == pytest.approx(STORED, rel=1e-3)
    assert float(stems.std()) == pytest.approx(STORED_DEVIATION, rel=1e-4)


STORED = [0.00488406, 0.00158093, 0.00591511, -0.0202919]
STORED_DEVIATION = 0.160235


def test_blocks_of_sequences_give_what_all_give() -> None:
    model, mix = tiny(segment=40_000), noise(40_000)
    assert signal_to_difference(run(model, mix), model(mix).detach()) > 100


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"sources": []}, "at least one source"),
        ({"dual_path_layers": 3}, "dual_path_layers must be even, not 3"),
        ({"hop_length": 300}, "a hop of 300 is not within half a window of 512"),
        ({"conv_kernel": 4}, "conv_kernel must be odd, not 4"),
        ({"dims": [2]}, "dims must be at least compression 4"),
        ({"dims": []}, "dims must be at least compression 4"),
        ({"conv_depths": [1, 2]}, "conv_depths must have 3 values"),
        ({"band_ratios": [0.2, 0.3, 0.4]}, "band_ratios must sum to 1"),
        ({"band_kernels": [3, 5, 8]}, "no band has a stride of 4 and a kernel of 5"),
        ({"band_ratios": [0.5, 0.5, 0.0]}, "257 rows are too few"),
        ({"segment": 0}, "segment must be at least 1, not 0"),
    ],
)
def test_impossible_values(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        build("scnet:SCNet", TINY | fields)


def test_a_song_is_standardised_where_the_configuration_says_so() -> None:
    assert {entry.name: bool(entry.config.get("standardised")) for entry in PUBLISHED} == {
        "scnet": True,
        "scnet.large": True,
        "scnet.large_zfturbo": False,
        "scnet.xl": False,
        "scnet.xl_ihf": False,
    }
    assert tiny(standardised=True).standardised
    assert not tiny().standardised


# --- The oracle ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with reference_modules(tmp_path_factory.mktemp("msst"), "models.scnet.scnet") as (module,):
        yield module


@pytest.mark.network
@pytest.mark.parametrize("frames", [44_100, 45_056, 46_081])
@pytest.mark.parametrize(
    ("fields", "arguments"),
    [
        ({"dims": (8, 16, 32)}, {"dims": [4, 8, 16, 32]}),
        (
            {
                **{"dims": (8, 16), "n_fft": 1024, "hop_length": 256, "normalized": False},
                **{"band_strides": (1, 4, 4), "band_kernels": (3, 4, 4), "conv_depths": (3, 3, 3)},
                **{"dual_path_layers": 4, "expansion": 2, "sources": ("a", "b", "c")},
            },
            {
                **{"dims": [4, 8, 16], "nfft": 1024, "win_size": 1024, "hop_size": 256},
                **{"normalized": False, "num_dplayer": 4, "expand": 2, "sources": ["a", "b", "c"]},
                **{"band_stride": [1, 4, 4], "band_kernel": [3, 4, 4], "conv_depths": [3, 3, 3]},
            },
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:A window was not provided")
def test_the_numbers_are_those_of_the_oracle(
    reference: Any, fields: dict[str, Any], arguments: dict[str, Any], frames: int
) -> None:
    model = SCNet(SCNetConfig(**fields)).eval()
    oracle = reference.SCNet(**arguments).eval()
    randomise(oracle)
    share_weights(oracle, model)
    mix = noise(frames, batch=2)
    with torch.inference_mode():
        expected = oracle(mix)
    assert signal_to_difference(expected, run(model, mix)) > 100
