"""The waveform Demucs of both generations against the reference, and what they promise besides."""

from __future__ import annotations

from typing import Any, Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import randomise, signal_to_difference
from test_models_hdemucs import reference_hdemucs
from torch import Tensor, nn

from stemsplit.models.base import SeparationModel
from stemsplit.models.demucs import (
    Demucs,
    DemucsConfig,
    DemucsV3,
    DemucsV3Config,
)
from stemsplit.models.demucs_layers import (
    LSTM_FRAMES,
    LocalAttention,
    ResidualLSTM,
    centre_trim,
    resample,
    valid_length,
)
from stemsplit.models.hdemucs import HDemucs, HDemucsConfig
from stemsplit.models.weighted_mean import WeightedMean, WeightedMeanConfig
from stemsplit.separation.engine import Engine

SOURCES = ("drums", "bass", "other", "vocals")


def parameters(config: DemucsConfig | DemucsV3Config) -> int:
    with torch.device("meta"):
        model = Demucs(config) if isinstance(config, DemucsConfig) else DemucsV3(config)
    return sum(weight.numel() for weight in model.parameters())


def noise(channels: int, samples: int, batch: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(samples)
    return 0.1 * torch.randn(batch, channels, samples, generator=generator)


# --- Sizes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("channels", "preprint", "released"),
    [
        (48, 152_610_488, 149_462_504),
        (64, 271_274_568, 265_679_496),
        (100, 662_204_508, 648_548_208),
    ],
)
def test_parameters_are_as_many_as_published(channels: int, preprint: int, released: int) -> None:
    assert parameters(DemucsConfig(channels=channels)) == preprint
    for v2 in (False, True):
        assert parameters(DemucsConfig(channels=channels, skip="add", resample=v2)) == released


@pytest.mark.parametrize(
    ("samples", "v1", "v2", "v3"),
    [
        (44_100, 58_708, 49_834, 45_738),
        (80_000, 91_476, 86_698, 80_554),
        (441_000, 451_924, 447_146, 441_002),
        (485_100, 496_980, 492_202, 486_058),
    ],
)
def test_valid_lengths_are_the_published_ones(samples: int, v1: int, v2: int, v3: int) -> None:
    assert valid_length(samples, 6, lost=2, resampled=False) == v1
    assert valid_length(samples, 6, lost=2, resampled=True) == v2
    assert valid_length(samples, 6, lost=0, resampled=True) == v3


def test_ablations_leave_out_what_they_say() -> None:
    whole = DemucsConfig(channels=8, depth=3)
    lstm = sum(weight.numel() for weight in Demucs(whole).get_submodule("lstm").parameters())
    assert parameters(DemucsConfig(channels=8, depth=3, lstm_layers=0)) == parameters(whole) - lstm
    # Each 1x1 convolution then has C in place of 2 C outputs: from C in the encoder, 2 C above.
    halves = sum(c * c + c + 2 * c * c + c for c in (8, 16, 32))
    assert parameters(DemucsConfig(channels=8, depth=3, glu=False)) == parameters(whole) - halves


def test_rescaling_brings_fresh_weights_closer_to_the_reference() -> None:
    deviations = {}
    for rescale in (0.0, 0.1):
        torch.manual_seed(0)
        model = Demucs(DemucsConfig(channels=8, depth=2, rescale=rescale))
        deviations[rescale] = model.get_parameter("encoder.1.0.weight").std().item()
    assert deviations[0.1] == pytest.approx((0.1 * deviations[0.0]) ** 0.5, rel=1e-4)


@pytest.mark.parametrize("skip", ["concatenate", "add"])
def test_rescaled_outputs_leave_the_function_as_it_was(skip: Literal["concatenate", "add"]) -> None:
    def fresh(**fields: Any) -> Demucs:
        torch.manual_seed(0)
        return Demucs(DemucsConfig(channels=8, depth=2, skip=skip, **fields)).eval()

    mix = 0.1 * torch.randn(1, 2, 4_000, generator=torch.Generator().manual_seed(1))
    preprint, released = fresh(rescale_outputs=True), fresh()
    with torch.inference_mode():
        expected = fresh(rescale=0.0)(mix)
        torch.testing.assert_close(preprint(mix), expected, rtol=1e-4, atol=1e-6)
        assert (released(mix) - expected).abs().max() > 0.1 * expected.abs().max()
    name = "encoder.1.0.weight"
    assert torch.equal(preprint.get_parameter(name), released.get_parameter(name))
    # The factors go with the weights into another network.
    torch.manual_seed(1)
    copy = Demucs(DemucsConfig(channels=8, depth=2, skip=skip, rescale_outputs=True)).eval()
    copy.load_state_dict(preprint.state_dict())
    with torch.inference_mode():
        assert torch.equal(copy(mix), preprint(mix))


@pytest.mark.parametrize(
    ("config", "fields", "reason"),
    [
        (DemucsConfig, {"sources": ()}, "at least one source"),
        (DemucsConfig, {"depth": 0}, "depth must be at least 1, not 0"),
        (DemucsConfig, {"lstm_layers": -1}, "lstm_layers must be at least 0, not -1"),
        (DemucsConfig, {"skip": "multiply"}, "skip must be 'concatenate' or 'add'"),
        (DemucsConfig, {"rescale": -0.1}, "rescale must be at least 0"),
        (DemucsConfig, {"rescale": 0, "rescale_outputs": True}, "no effect where rescale is 0"),
        (DemucsV3Config, {"segment": 0}, "segment must be at least 1, not 0"),
        (DemucsV3Config, {"dconv_mode": 4}, "dconv_mode must be 0, 1, 2 or 3, not 4"),
        (DemucsV3Config, {"norm_groups": 3}, "512 channels do not divide into 3 groups"),
        (DemucsV3Config, {"channels": 2}, "dconv_comp must be 1 to 2, not 4"),
        (
            DemucsV3Config,
            {"channels": 6, "dconv_attn": 0, "norm_starts": 6},
            "layer 0 have 1 channels, which do not divide into 4 heads",
        ),
    ],
)
def test_a_configuration_that_gives_no_network_is_refused(
    config: Any, fields: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        config(**fields)


# --- v3 against demucs 4.1.0 ---------------------------------------------------------------------

V3_CONFIGS: dict[str, dict[str, Any]] = {
    "published options": {},
    "at its own rate": {"resample": False},
    "branches everywhere": {"dconv_mode": 3, "norm_starts": 2, "dconv_attn": 2, "dconv_lstm": 3},
    "as v2": {"gelu": False, "dconv_mode": 0, "lstm_layers": 2, "norm_starts": 6},
    "decoder only, unnormalised": {"dconv_mode": 2, "normalize": False, "lstm_layers": 1},
    "mono": {"audio_channels": 1, "sources": ("speech", "rest"), "depth": 4, "norm_starts": 3},
}


def reference_v3(config: DemucsV3Config) -> Any:
    """Return demucs' waveform network of ``config``, in evaluation mode."""
    from demucs.demucs import Demucs as Reference

    fields = {name: getattr(config, name) for name in config.__slots__}
    del fields["sample_rate"]
    fields["sources"] = list(config.sources)
    fields["segment"] = config.segment / config.sample_rate
    return Reference(**fields, samplerate=config.sample_rate).eval()


@pytest.mark.parametrize("fields", V3_CONFIGS.values(), ids=V3_CONFIGS)
def test_v3_equals_the_reference(fields: dict[str, Any]) -> None:
    config = DemucsV3Config(**{"channels": 8, **fields})
    torch.manual_seed(0)
    ours = DemucsV3(config).eval()
    randomise(ours)
    reference = reference_v3(config)
    reference.load_state_dict(ours.state_dict(), strict=True)
    for samples in (12_011, 2_000, 2):
        mix = noise(config.audio_channels, samples, batch=2)
        with torch.no_grad():
            assert signal_to_difference(reference(mix), ours(mix)) > 110


def equal_networks(fields: dict[str, Any], seed: int) -> tuple[Any, DemucsV3]:
    """Return the network of demucs and ours, with the same weights."""
    config = DemucsV3Config(**{"channels": 8, "segment": 44_100, **fields})
    torch.manual_seed(seed)
    ours = DemucsV3(config).eval()
    randomise(ours, seed)
    reference = reference_v3(config)
    reference.load_state_dict(ours.state_dict(), strict=True)
    return reference, ours


def by_demucs(model: Any, song: Tensor) -> Tensor:
    from demucs.apply import apply_model

    with torch.no_grad():
        stems: Tensor = apply_model(model, song, shifts=0, overlap=0.25)[0]
    return stems


def streamed(model: SeparationModel, song: Tensor) -> Tensor:
    blocks = song[0].split(10_007, -1)
    return torch.cat(list(Engine(model, device="cpu").separate(blocks)), -1)


#: Less than a segment, a hop, a segment, some samples more than these, several hops, long songs.
SONGS = (1, 2, 9_001, 33_075, 33_077, 44_100, 44_150, 66_151, 100_003)


@pytest.mark.parametrize("fields", V3_CONFIGS.values(), ids=V3_CONFIGS)
def test_v3_separates_a_song_as_demucs_does(fields: dict[str, Any]) -> None:
    """The song around a segment fills it up to a valid length before it is normalised."""
    reference, ours = equal_networks(fields, 0)
    for samples in SONGS:
        song = noise(ours.channels, samples) + 0.05
        assert signal_to_difference(by_demucs(reference, song), streamed(ours, song)) > 100


def test_v3_and_hybrid_networks_separate_a_song_together_as_in_demucs() -> None:
    """As in mdx: what is put around a segment is up to each member."""
    from demucs.apply import BagOfModels

    config = HDemucsConfig(channels=8, segment=44_100)
    torch.manual_seed(2)
    hybrid = HDemucs(config).eval()
    randomise(hybrid, 2)
    reference_hybrid = reference_hdemucs(config)
    reference_hybrid.load_state_dict(hybrid.state_dict(), strict=True)
    pairs = [equal_networks({}, 0), equal_networks({"depth": 5}, 1), (reference_hybrid, hybrid)]
    weights = ((1.0, 1.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (1.0, 0.0, 1.0, 1.0))
    bag = BagOfModels([theirs for theirs, _ in pairs], [list(row) for row in weights])
    ours = WeightedMean(
        WeightedMeanConfig(sources=SOURCES, weights=weights), [ours for _, ours in pairs]
    )
    for samples in SONGS[1:]:
        song = noise(2, samples) + 0.05
        expected = by_demucs(bag, song)
        found = streamed(ours.eval(), song)
        for name, stem, estimate in zip(SOURCES, expected, found, strict=True):
            assert signal_to_difference(stem, estimate) > 100, (name, samples)


@given(samples=st.integers(1, 20_000), depth=st.integers(1, 6), resampled=st.booleans())
@settings(max_examples=200, deadline=None)
def test_the_context_of_v3_reaches_the_next_valid_length(
    samples: int, depth: int, resampled: bool
) -> None:
    with torch.device("meta"):
        config = DemucsV3Config(channels=4, depth=depth, resample=resampled, dconv_mode=0)
        model = DemucsV3(config)
    length = valid_length(samples, depth, lost=0, resampled=resampled)
    assert 0 <= length - samples <= 2 * model.context
    assert valid_length(length, depth, lost=0, resampled=resampled) == length


def test_v3_published_weights_have_the_names_of_the_reference() -> None:
    with torch.device("meta"):
        ours = DemucsV3(DemucsV3Config()).state_dict()
        theirs = reference_v3(DemucsV3Config()).state_dict()
    assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in theirs.items()}
    assert len(ours) == 284
    assert parameters(DemucsV3Config()) == 133_753_064


# --- Layers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("frames", [1, LSTM_FRAMES, LSTM_FRAMES + 1, 350, 400, 999])
def test_recurrent_branches_equal_the_reference(frames: int) -> None:
    from demucs.demucs import BLSTM

    torch.manual_seed(0)
    ours = ResidualLSTM(8)
    reference = BLSTM(8, layers=2, max_steps=LSTM_FRAMES, skip=True)
    reference.load_state_dict(ours.state_dict(), strict=True)
    x = torch.randn(2, 8, frames)
    with torch.no_grad():
        assert signal_to_difference(reference(x), ours(x)) > 110


@pytest.mark.parametrize("frames", [1, 2, 300])
def test_local_attention_equals_the_reference(frames: int) -> None:
    from demucs.demucs import LocalState

    torch.manual_seed(0)
    ours = LocalAttention(8)
    with torch.no_grad():
        ours.query_decay.weight.mul_(100)  # slopes that differ
    reference = LocalState(8)
    reference.load_state_dict(ours.state_dict(), strict=True)
    x = torch.randn(2, 8, frames)
    with torch.no_grad():
        assert signal_to_difference(reference(x), ours(x)) > 110


@pytest.mark.parametrize(("from_rate", "to_rate"), [(1, 2), (2, 1), (2, 3)])
@given(samples=st.integers(1, 3_000))
@settings(max_examples=20, deadline=None)
def test_resampling_equals_the_reference(from_rate: int, to_rate: int, samples: int) -> None:
    from julius import resample_frac

    wave = noise(2, samples)
    theirs = resample_frac(wave, from_rate, to_rate)
    ours = resample(wave, from_rate, to_rate)
    assert ours.shape == theirs.shape
    if samples > 1:
        assert signal_to_difference(theirs, ours) > 110


@given(length=st.integers(1, 50), more=st.integers(0, 9))
@settings(max_examples=50, deadline=None)
def test_trimming_leaves_the_middle(length: int, more: int) -> None:
    trimmed = centre_trim(torch.arange(length + more), length)
    assert trimmed.tolist() == list(range(more // 2, more // 2 + length))


# --- The first generation ------------------------------------------------------------------------


def fill(model: nn.Module) -> None:
    """Give ``model`` weights that no generator of random numbers decides."""
    with torch.no_grad():
        for number, weight in enumerate(model.parameters()):
            wave = torch.sin(1.7 * torch.arange(weight.numel(), dtype=torch.float64) + number)
            inputs = weight[0].numel() if weight.dim() > 1 else 10
            weight.copy_((wave * 1.5 / inputs**0.5).view(weight.shape))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {},
            [
                -0.224632,
                -0.639334,
                -0.324929,
                0.006450,
                -0.511066,
                -0.515663,
                -0.065396,
                -0.180073,
                0.100432,
                0.510429,
                0.656831,
                0.208090,
                0.107799,
                0.531991,
                0.231553,
                -0.113015,
            ],
        ),
        (
            {"skip": "add"},
            [
                -0.470085,
                -0.723230,
                -0.245467,
                -0.111708,
                -0.572620,
                -0.313713,
                0.197695,
                -0.172421,
                0.138897,
                0.657010,
                0.702626,
                0.190087,
                0.134871,
                0.406204,
                -0.058520,
                -0.212940,
            ],
        ),
        (
            {"skip": "add", "resample": True},
            [
                -0.367586,
                -0.390060,
                -0.385816,
                -0.373611,
                -0.205515,
                -0.230231,
                -0.201376,
                -0.194667,
                0.412097,
                0.409275,
                0.434563,
                0.429224,
                0.047361,
                0.069189,
                0.066213,
                0.054040,
            ],
        ),
    ],
    ids=["preprint", "v1", "v2"],
)
def test_known_weights_give_known_stems(fields: dict[str, Any], expected: list[float]) -> None:
    """That v1's and v2's are right, the test below against the program itself says."""
    model = Demucs(DemucsConfig(channels=4, depth=3, sources=("a", "b"), **fields)).eval()
    fill(model)
    time = torch.arange(700.0)
    mix = torch.stack([torch.sin(0.05 * time), torch.cos(0.031 * time)])[None]
    with torch.no_grad():
        stems = model(mix)
    assert stems.shape == (1, 2, 2, 700)
    torch.testing.assert_close(
        stems[0, :, :, ::233].flatten(), torch.tensor(expected), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("skip", ["add", "concatenate"])
@pytest.mark.parametrize("samples", [1, 17, 4_000])
def test_any_length_comes_back(skip: Any, samples: int) -> None:
    model = Demucs(DemucsConfig(channels=4, depth=3, skip=skip)).eval()
    with torch.no_grad():
        assert model(noise(2, samples)).shape == (1, 4, 2, samples)


@pytest.mark.network
@pytest.mark.parametrize("resampled", [False, True], ids=["v1", "v2"])
def test_the_first_generation_equals_its_release(release_v2: Any, resampled: bool) -> None:
    config = DemucsConfig(channels=12, skip="add", resample=resampled)
    torch.manual_seed(0)
    ours = Demucs(config).eval()
    randomise(ours)
    reference = release_v2("model").Demucs(list(SOURCES), channels=12, resample=resampled).eval()
    reference.load_state_dict(ours.state_dict(), strict=True)
    for samples in (44_100, 20_001):
        mix = noise(2, samples)
        missing = reference.valid_length(samples) - samples
        padded = nn.functional.pad(mix, (missing // 2, missing - missing // 2))
        with torch.no_grad():
            theirs = centre_trim(reference(padded), samples)
            # The release scales its input by 1 / (1 + 1e-5).
            assert signal_to_difference(theirs, ours(mix / (1 + 1e-5))) > 110
