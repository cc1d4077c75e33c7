"""The separators without weights: what each must separate, and the contract of all models."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from command import run
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import signal_to_difference
from torch import Tensor

from stemsplit.checkpoints import loading, registry
from stemsplit.checkpoints.entries import Model
from stemsplit.models import build, nmf
from stemsplit.models.base import SeparationModel
from stemsplit.models.classical import running_median, shares
from stemsplit.models.hpss import HPSS, HPSSConfig
from stemsplit.models.ica import ICA, ICAConfig, find_angle
from stemsplit.models.nmf import NMF, NMFConfig, factorise, is_percussive
from stemsplit.models.repet import RepetSim, RepetSimConfig

ENTRIES = {model.name: model for model in registry.list_models() if model.without_weights}
RATE = 44_100


@pytest.fixture(params=ENTRIES)
def entry(request: pytest.FixtureRequest) -> Model:
    return ENTRIES[request.param]


@pytest.fixture
def model(entry: Model) -> SeparationModel:
    """The published method, on short segments."""
    return build(entry.architecture, {**entry.config, "segment": 2 * RATE}).eval()


def noise(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# --- All of them ---------------------------------------------------------------------------------


def test_they_are_all_here() -> None:
    assert set(ENTRIES) == {"hpss", "repet_sim", "nmf", "ica"}
    assert [m.name for m in registry.list_groups()[registry.WITHOUT_WEIGHTS]] == list(ENTRIES)


def test_there_is_nothing_to_learn_or_to_fetch(entry: Model) -> None:
    assert list(loading.prepare(entry.name, offline=True)) == []
    network = loading.load(entry.name)
    assert not network.state_dict()
    assert network.sources == entry.stems
    assert (network.sample_rate, network.channels, network.segment) == (
        entry.sample_rate,
        entry.channels,
        entry.segment,
    )


@pytest.mark.parametrize("samples", [1, 2, 1_023, 30_001])
def test_any_length_comes_back_and_the_sources_sum_to_it(
    model: SeparationModel, samples: int
) -> None:
    mix = noise(2, 2, samples)
    stems = model(mix)
    assert stems.shape == (2, 2, 2, samples)
    assert stems.dtype == torch.float32
    assert signal_to_difference(mix, stems.sum(1)) > 100


def test_a_batch_gives_what_its_items_give_alone(model: SeparationModel) -> None:
    mix = noise(3, 2, 30_000)
    alone = torch.cat([model(item) for item in mix.split(1)])
    assert signal_to_difference(alone, model(mix)) > 90


def test_the_same_input_gives_the_same_bytes(model: SeparationModel) -> None:
    mix = noise(1, 2, 30_000)
    torch.manual_seed(3)
    first = model(mix)
    torch.manual_seed(4)
    assert torch.equal(first, model(mix))


def test_loudness_changes_nothing_but_loudness(model: SeparationModel) -> None:
    mix = noise(1, 2, 30_000)
    assert signal_to_difference(model(mix), model(mix / 1024) * 1024) > 60


@pytest.mark.parametrize("mix", [torch.zeros(1, 2, 9_000), torch.ones(1, 2, 9_000)])
def test_silence_and_constants_stay_finite(model: SeparationModel, mix: Tensor) -> None:
    assert model(mix).isfinite().all()


def test_autocast_changes_nothing(model: SeparationModel) -> None:
    mix = noise(1, 2, 30_000)
    with torch.autocast("cpu", torch.bfloat16):
        stems = model(mix)
    assert torch.equal(stems, model(mix))


def test_configuration_survives_json(model: SeparationModel) -> None:
    assert type(model).from_config(json.loads(json.dumps(model.config))).config == model.config


@pytest.mark.parametrize(
    ("name", "config", "message"),
    [
        ("hpss:HPSS", {"harmonic_length": 16}, "harmonic_length must be odd, not 16"),
        ("hpss:HPSS", {"hop": 4096}, "half a window"),
        ("hpss:HPSS", {"sources": ["a"]}, "two sources"),
        ("repet:RepetSim", {"neighbours": 0}, "neighbours must be at least 1, not 0"),
        ("repet:RepetSim", {"distance": -1.0}, "distance must be at least 0, not -1.0"),
        ("repet:RepetSim", {"sources": ["a"]}, "two sources"),
        ("nmf:NMF", {"parts": 0}, "parts must be at least 1, not 0"),
        ("nmf:NMF", {"median": 16}, "median must be odd, not 16"),
        ("nmf:NMF", {"sources": ["a"]}, "two sources"),
        ("ica:ICA", {"sources": ["a", "b", "c"]}, "name two sources"),
    ],
)
def test_impossible_values_are_refused(name: str, config: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(name, config)


@pytest.mark.parametrize("name", ENTRIES)
def test_the_command_splits_with_it(name: str, song: Path, tmp_path: Path) -> None:
    result = run("-n", name, song, "--offline", cwd=tmp_path)
    assert result.code == 0, result.stderr
    stems = [soundfile.read(tmp_path / path, dtype="float32")[0] for path in result.lines]
    mix, _ = soundfile.read(song, dtype="float32")
    assert len(stems) == 2
    difference = signal_to_difference(torch.from_numpy(mix), torch.from_numpy(sum(stems)))
    assert difference > 90


# --- Harmonic and percussive ---------------------------------------------------------------------


@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    half=st.integers(0, 30),
    dim=st.sampled_from([0, 1, -1]),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_running_median_is_the_median_of_what_is_around(
    shape: tuple[int, int], half: int, dim: int, seed: int
) -> None:
    values = noise(*shape, seed=seed)
    beyond = [(0, 0), (0, 0)]
    beyond[dim] = (half, half)
    mirrored = np.pad(values.numpy(), beyond, mode="symmetric")
    windows = np.lib.stride_tricks.sliding_window_view(mirrored, 2 * half + 1, axis=dim)
    expected = np.median(windows, axis=-1)
    assert torch.equal(running_median(values, 2 * half + 1, dim), torch.from_numpy(expected))


def test_shares_are_fair() -> None:
    strengths = torch.tensor([[3.0, 0.0, 0.0], [1.0, 2.0, 0.0]])[None]
    torch.testing.assert_close(shares(strengths, 2.0)[0, 0], torch.tensor([0.9, 0.0, 0.5]))


def tones_and_clicks(seconds: float = 4.0) -> tuple[Tensor, Tensor]:
    """Return held tones ``(1, C, T)``, and a train of clicks four times a second."""
    time = torch.arange(int(seconds * RATE)) / RATE
    tones = sum(torch.sin(2 * math.pi * hertz * time) for hertz in (220.0, 554.4, 1318.5))
    clicks = torch.zeros_like(time)
    burst = noise(200) * torch.linspace(1, 0, 200) ** 2
    for start in range(2_000, len(clicks) - 200, RATE // 4):
        clicks[start : start + 200] += 8 * burst
    gains = torch.tensor([0.1, 0.07])[:, None]
    return (gains * tones)[None], (gains.flip(0) * clicks)[None]


@pytest.mark.parametrize(("kind", "floor"), [(HPSS, 15.0), (NMF, 6.0)])
def test_tones_are_harmonic_and_clicks_percussive(
    kind: type[SeparationModel], floor: float
) -> None:
    tones, clicks = tones_and_clicks()
    stems = kind(kind.Config())(tones + clicks)
    for truth, stem in ((tones, stems[:, 0]), (clicks, stems[:, 1])):
        before = signal_to_difference(truth, tones + clicks)
        after = signal_to_difference(truth, stem)
        print(f"{kind.__name__}: {before:.1f} dB -> {after:.1f} dB")
        assert after > floor
        assert after > before + 6


# --- What repeats --------------------------------------------------------------------------------


def loop_and_voice(seconds: float = 16.0) -> tuple[Tensor, Tensor]:
    """Return a bar of noise bursts and chords that repeats each 1.5 s, and a voice that does not.

    The voice is a sung line of ever new notes with vibrato, above the cutoff.
    """
    bar = int(1.5 * RATE)
    time = torch.arange(bar) / RATE
    pattern = torch.zeros(bar)
    for number, hertz in enumerate((110.0, 164.8, 138.6, 220.0, 146.8, 185.0)):
        start, length = number * bar // 6, bar // 6
        beat = time[:length]
        chord = sum(torch.sin(2 * math.pi * hertz * k * beat) / k for k in range(1, 9))
        hit = noise(length, seed=number) * torch.exp(-beat * 60)
        pattern[start : start + length] = (chord * torch.exp(-beat * 4) + hit) * 0.1
    samples = int(seconds * RATE)
    loop = pattern.repeat(-(-samples // bar))[:samples]
    notes = 300 * 2 ** (torch.rand(64, generator=torch.Generator().manual_seed(5)) * 1.5)
    held = notes.repeat_interleave(int(0.31 * RATE))[:samples]
    clock = torch.arange(samples) / RATE
    hertz = held * (1 + 0.02 * torch.sin(2 * math.pi * 5.5 * clock))
    phase = 2 * math.pi * torch.cumsum(hertz / RATE, 0)
    swell = 0.5 - 0.5 * torch.cos(2 * math.pi * clock / 0.31)
    voice = 0.1 * swell * sum(torch.sin(k * phase) / k for k in range(1, 7))
    return loop.expand(1, 2, -1), voice.expand(1, 2, -1)


def test_what_repeats_is_separated_from_what_does_not() -> None:
    loop, voice = loop_and_voice()
    stems = RepetSim(RepetSimConfig())(loop + voice)
    for truth, stem, name in ((voice, stems[:, 0], "voice"), (loop, stems[:, 1], "loop")):
        before = signal_to_difference(truth, loop + voice)
        after = signal_to_difference(truth, stem)
        print(f"{name}: {before:.1f} dB -> {after:.1f} dB")
        assert after > before + 6


def test_there_is_no_voice_below_the_cutoff() -> None:
    mix = noise(1, 2, 4 * RATE)
    model = RepetSim(RepetSimConfig())
    spectrum = torch.fft.rfft(model(mix)[0, 0]).abs().square()
    hertz = torch.fft.rfftfreq(4 * RATE, 1 / RATE)
    low = spectrum[:, hertz < 50].mean()
    assert low < 1e-3 * spectrum[:, hertz > 1_000].mean()


def test_neighbours_keep_their_distance() -> None:
    model = RepetSim(RepetSimConfig(neighbours=5, distance=0.5))
    magnitudes = noise(1, 40, 200).abs()
    found, cosines = model._neighbours(magnitudes)
    reach = round(0.5 * RATE / 1024)
    assert found.shape == (200, 5)
    for frame in range(200):
        chosen = found[frame][cosines[frame] > 0].tolist()
        assert chosen[0] == frame  # nothing is more like a frame than itself
        gaps = [abs(a - b) for i, a in enumerate(chosen) for b in chosen[:i]]
        assert min(gaps, default=reach + 1) > reach


# --- Parts ---------------------------------------------------------------------------------------


def divergence(target: Tensor, model: Tensor) -> float:
    """Return the Kullback-Leibler divergence of non-negative matrices."""
    return float((target * (target / model).log() - target + model).sum())


def test_updates_never_make_the_divergence_larger() -> None:
    target = noise(40, 60).abs() + 0.1
    found = [factorise(target, 6, iterations=n) for n in (1, 2, 5, 10, 50, 200)]
    values = [divergence(target, spectra @ courses) for spectra, courses in found]
    assert values == sorted(values, reverse=True)
    assert values[-1] < 0.7 * values[0]


def test_a_product_is_found_again() -> None:
    generator = torch.Generator().manual_seed(2)
    spectra = torch.rand(30, 3, generator=generator) ** 4
    courses = torch.rand(3, 80, generator=generator) ** 4
    target = spectra @ courses
    found, when = factorise(target, 3, iterations=1000)
    assert signal_to_difference(target, found @ when) > 40


def test_parts_are_grouped_by_their_shape() -> None:
    line, burst = torch.zeros(100), torch.rand(100, generator=torch.Generator().manual_seed(1))
    line[[20, 40, 60]] = 1.0
    note = (line, torch.ones(100))
    drum = (burst, line)
    spectra = torch.stack([note[0], drum[0]], dim=1)[None]
    courses = torch.stack([note[1], drum[1]])
    assert is_percussive(spectra, courses, 17).tolist() == [False, True]


def test_a_part_is_what_more_is_left_of() -> None:
    """Of a level line with peaks 3 high the median leaves the line: the fewer peaks, the more."""
    one, two = torch.ones(60), torch.ones(60)
    one[30] = two[20] = two[40] = 3.0
    spectra = torch.stack([one, two, one], dim=1)[None]
    courses = torch.stack([two, one, one])
    assert is_percussive(spectra, courses, 17).tolist() == [True, False, False]


# --- Places between left and right ---------------------------------------------------------------


def laplacian(*shape: int, seed: int) -> Tensor:
    """Return numbers with heavier tails than normal ones, as music has them."""
    uniform = torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) - 0.5
    return -uniform.sign() * torch.log1p(-2 * uniform.abs().clamp(max=0.4999))


def pan(sources: Tensor, degrees: tuple[float, float]) -> Tensor:
    """Return images ``(S, C, T)`` of ``sources`` ``(S, T)``: 0 degrees is left, 90 is right."""
    angles = torch.tensor(degrees).deg2rad()
    return sources[:, None] * torch.stack([angles.cos(), angles.sin()], dim=1)[..., None]


@given(
    left=st.floats(0, 65),
    apart=st.floats(20, 90),
    louder=st.floats(-10, 10),
    kind=st.sampled_from(["laplacian", "uniform"]),
    seed=st.integers(0, 1_000),
)
@settings(max_examples=40, deadline=None)
def test_two_positions_are_separated_wherever_they_are(
    left: float, apart: float, louder: float, kind: str, seed: int
) -> None:
    right = min(90.0, left + apart)
    if kind == "laplacian":
        sources = laplacian(2, 40_000, seed=seed)
    else:
        sources = torch.rand(2, 40_000, generator=torch.Generator().manual_seed(seed)) - 0.5
    images = pan(sources * torch.tensor([[1.0], [10 ** (louder / 20)]]), (left, right))
    stems = ICA(ICAConfig())(images.sum(0)[None])[0]
    for truth, stem in zip(images, stems, strict=True):
        assert signal_to_difference(truth, stem) > 15


def test_sources_equally_far_left_and_right_are_separated() -> None:
    """There the axes of the covariance are as far from both sources as can be."""
    images = pan(laplacian(2, 100_000, seed=3), (25, 65))
    stems = ICA(ICAConfig())(images.sum(0)[None])[0]
    assert signal_to_difference(images, stems) > 30


@pytest.mark.parametrize("degrees", [0, 1, 17, 44, 45, 46, 80])
def test_the_angle_is_found_from_any_start(degrees: int) -> None:
    sources = laplacian(2, 200_000, seed=4)
    white = sources / sources.std(dim=1, keepdim=True)
    angle = math.radians(degrees)
    turned = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    error = math.degrees(find_angle(turned @ white) - angle) % 90
    assert min(error, 90 - error) < 0.5


@pytest.mark.parametrize("degrees", [45, 43])
def test_the_angle_is_found_to_a_thousandth_of_a_degree(degrees: int) -> None:
    """With all mirror images of the points, that is: noise has no say where the sources are.

    Halfway between them, 45 degrees off, the iteration would be at rest.
    """
    first, second = laplacian(2, 5_000, seed=6)
    images = [
        torch.stack([across * x, along * y])
        for x, y in ((first, second), (second, first))
        for across in (1, -1)
        for along in (1, -1)
    ]
    sources = torch.cat(images, dim=1)
    white = sources / sources.std(dim=1, keepdim=True)
    angle = math.radians(degrees)
    turned = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    found = math.degrees(find_angle(turned @ white)) % 90
    assert found == pytest.approx(degrees, abs=1e-3)


def test_a_mono_song_is_one_source() -> None:
    mono = laplacian(1, 50_000, seed=5)
    stems = ICA(ICAConfig())(mono.expand(1, 2, -1))[0]
    levels = stems.square().mean(dim=(1, 2))
    assert signal_to_difference(mono.expand(2, -1), stems.sum(0)) > 100
    assert float(levels.min() / levels.max()) < 1e-6


def test_the_configurations_are_the_literature_s() -> None:
    assert (HPSSConfig().n_fft, HPSSConfig().hop, HPSSConfig().harmonic_length) == (4096, 1024, 17)
    assert (HPSSConfig().percussive_length, HPSSConfig().power) == (17, 2.0)
    assert (RepetSimConfig().neighbours, RepetSimConfig().cutoff) == (100, 100.0)
    assert (RepetSimConfig().similarity, RepetSimConfig().distance) == (0.0, 1.0)
    assert (RepetSimConfig().n_fft, RepetSimConfig().hop) == (2048, 1024)
    window = RepetSim(RepetSimConfig()).analysis_window(torch.device("cpu"))
    assert window[0].item() == pytest.approx(0.08, abs=1e-6)  # Hamming's, which does not reach 0
    assert window[1024].item() == pytest.approx(1)
    assert (NMFConfig().parts, NMFConfig().iterations, nmf.POWER) == (30, 100, 2.0)
    assert (NMFConfig().n_fft, NMFConfig().hop, NMFConfig().median) == (2048, 512, 17)
