"""The ends of a song, and the rest of it, against the programs whose networks separate it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from command import run
from msst_reference import Settings, demix, reference_modules, share_weights
from oracles import randomise, signal_to_difference
from torch import Tensor, nn

from stemsplit import split_files
from stemsplit.audio.decode import read
from stemsplit.audio.resample import resample
from stemsplit.checkpoints import loading
from stemsplit.checkpoints.weights import Weights, save
from stemsplit.data.synthetic import render
from stemsplit.models import build
from stemsplit.models.base import SeparationModel
from stemsplit.separation.engine import Engine
from stemsplit.types import Existing

TRAINED_BY_THE_COMMUNITY = (
    "tiny.scnet",
    "tiny.mdx23c",
    "tiny.bs_roformer",
    "tiny.mel_band_roformer",
)
#: Small networks, with as many segments over each sample as the community uses.
SCNET = {
    **{"sources": ["vocals", "rest"], "segment": 32_768, "n_fft": 2048, "dims": [8, 16]},
    **{"dual_path_layers": 2},
}
MDX23C = {
    **{"sources": ["vocals", "rest"], "segment": 32_512, "n_fft": 512, "hop_length": 256},
    **{"bins": 256, "scales": 2, "blocks_per_scale": 1, "channels": 16, "growth": 16},
}


def song(frames: int, sample_rate: int = 44_100) -> np.ndarray:
    """Return the mixture ``(2, frames)`` of a synthetic song."""
    mix = sum(render(3, seconds=1 + frames / sample_rate, sample_rate=sample_rate).values())
    return np.ascontiguousarray(mix[:, :frames], np.float32)


def separate(model: SeparationModel, mix: Tensor, **options: Any) -> Tensor:
    engine = Engine(model, device="cpu", **options)
    return torch.cat(list(engine.separate(mix.split(10_007, -1))), -1)


def by_trainer(model: SeparationModel, mix: Tensor, count: int) -> Tensor:
    """Return what the trainer's inference makes of ``mix`` with ``count`` segments over a frame."""
    with torch.inference_mode():
        hop = model.segment // count
        return demix(lambda part: model(part[None])[0], mix, model.segment, hop)


def decibels(expected: Tensor, found: Tensor, border: int) -> tuple[float, float, float]:
    """Return how far ``found`` is below ``expected`` at the start, in the middle and at the end."""
    assert found.shape == expected.shape
    parts = (slice(border), slice(border, -border), slice(-border, None))
    start, middle, end = (signal_to_difference(expected[..., p], found[..., p]) for p in parts)
    return start, middle, end


# --- Music-Source-Separation-Training ------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize("name", TRAINED_BY_THE_COMMUNITY)
def test_ends_and_middle_are_those_of_the_trainer(name: str, count: int) -> None:
    model = loading.load(name)
    border = model.segment - model.segment // count
    mix = torch.from_numpy(song(3 * model.segment + 1_234))
    found = separate(model, mix, overlap=1 - 1 / count)
    start, middle, end = decibels(by_trainer(model, mix, count), found, border)
    assert min(start, end) >= 100
    assert middle >= 100


@pytest.mark.parametrize(
    "frames", [1, 2, 1_638, 4_096, 8_192, 16_384, 24_576, 24_577, 32_768, 40_961, 49_152]
)
def test_songs_of_any_length_are_those_of_the_trainer(frames: int) -> None:
    """Up to half a segment, a segment, two borders (24,576) and one more, whole segments."""
    model = loading.load("tiny.scnet")
    mix = torch.from_numpy(song(50_000)[:, :frames])
    assert signal_to_difference(by_trainer(model, mix, 4), separate(model, mix)) >= 100


def test_many_segments_over_a_short_song() -> None:
    """Where a hop is less than a fade, it counts that the first segment does not fade in."""
    model = loading.load("tiny.scnet")
    mix = torch.from_numpy(song(20_000))
    found = separate(model, mix, overlap=1 - 1 / 16)
    assert signal_to_difference(by_trainer(model, mix, 16), found) >= 100


def test_a_song_is_standardised_before_it_is_reflected() -> None:
    model = loading.load("tiny.scnet")
    model.standardised = True
    mix = torch.from_numpy(song(60_000)) + 0.1
    mono = mix.double().mean(0)
    mean, deviation = float(mono.mean()), float(mono.std())
    engine = Engine(model, device="cpu")
    found = torch.cat(list(engine.separate([mix], mean=mean, deviation=deviation)), -1)
    expected = by_trainer(model, (mix - mean) / deviation, 4) * deviation + mean
    assert signal_to_difference(expected, found) >= 100


def test_songs_fill_as_many_batches_as_they_have_segments() -> None:
    model = loading.load("tiny.scnet")
    engine = Engine(model, device="cpu")
    runs: list[int] = []
    model.register_forward_hook(lambda *_: runs.append(1))
    for frames in (1, 4_096, 4_097, 24_576, 24_577, 50_000):
        runs.clear()
        for _ in engine.separate([torch.zeros(2, frames)]):
            pass
        assert engine.fills(frames / 44_100) == len(runs)


@pytest.fixture(scope="module")
def trainer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    names = ("utils.model_utils", "models.scnet.scnet", "models.mdx23c_tfc_tdf_v3")
    with reference_modules(tmp_path_factory.mktemp("msst"), *names) as modules:
        yield modules


def pair(name: str, trainer: Any) -> tuple[nn.Module, SeparationModel]:
    """Return the trainer's network and ours with the same weights."""
    _, scnet, mdx23c = trainer
    torch.manual_seed(0)
    if name == "scnet":
        ours = build("scnet:SCNet", SCNET)
        reference = scnet.SCNet(
            **{"sources": SCNET["sources"], "dims": [4, 8, 16], "nfft": 2048, "win_size": 2048},
            **{"hop_size": 1024, "num_dplayer": 2},
        )
    else:
        ours = build("mdx23c:MDX23C", MDX23C)
        config: Any = ours.config
        model = {
            **{"norm": config["norm"], "act": config["activation"], "scale": config["scale"]},
            **{"num_subbands": config["subbands"], "num_scales": 2, "num_blocks_per_scale": 1},
            **{"num_channels": 16, "growth": 16, "bottleneck_factor": config["bottleneck_factor"]},
        }
        audio = {"n_fft": 512, "hop_length": 256, "dim_f": 256, "num_channels": 2}
        training = {"instruments": MDX23C["sources"]}
        reference = mdx23c.TFC_TDF_net(Settings(model=model, audio=audio, training=training))
    randomise(reference)
    share_weights(reference, ours)
    return reference.eval(), ours.eval()


def by_package(trainer: Any, reference: nn.Module, mix: Tensor, segment: int, count: int) -> Tensor:
    """Return what the trainer's own function makes of ``mix``."""
    settings = Settings(
        inference={"num_overlap": count, "batch_size": 1},
        audio={"chunk_size": segment},
        training={"instruments": ["vocals", "rest"]},
    )
    stems = trainer[0].demix(settings, reference, mix.numpy(), "cpu", "scnet")
    return torch.stack([torch.from_numpy(stems[name]) for name in ("vocals", "rest")])


@pytest.mark.network
@pytest.mark.filterwarnings("ignore:A window was not provided")
@pytest.mark.parametrize("name", ["scnet", "mdx23c"])
@pytest.mark.parametrize("frames", [1_000, 16_000, 32_512, 100_001, 200_000])
def test_demix_of_the_tests_is_that_of_the_trainer(trainer: Any, name: str, frames: int) -> None:
    reference, ours = pair(name, trainer)
    mix = torch.from_numpy(song(frames))
    for count in (2, 4, 7, 12):
        expected = by_package(trainer, reference, mix, ours.segment, count)
        restated = by_trainer(ours, mix, count)
        # At its first frame, a fade of the trainer's can be 0 / 0.
        assert signal_to_difference(expected[..., 1:], restated[..., 1:]) >= 100


@pytest.mark.network
@pytest.mark.filterwarnings("ignore:A window was not provided")
@pytest.mark.parametrize("name", ["scnet", "mdx23c"])
@pytest.mark.parametrize(
    ("rate", "channels"), [(44_100, 2), (44_100, 1), (48_000, 2)], ids=["as is", "mono", "48 kHz"]
)
def test_files_are_separated_as_by_the_trainer(
    trainer: Any, name: str, rate: int, channels: int, tmp_path: Path
) -> None:
    """The command against the trainer's network in the trainer's inference.

    It resamples in its own way, and of a mono song it gives two channels: here, ours is used to
    resample, and the mean of the two is expected.
    """
    reference, ours = pair(name, trainer)
    path = tmp_path / "network.safetensors"
    architecture = f"{name}:{type(ours).__name__}"
    save(Weights(architecture, ours.config, ours.state_dict(), "a test", 0.75), path)
    mix = song(4 * rate, rate)[:channels]
    soundfile.write(tmp_path / "song.wav", mix.T, rate, subtype="FLOAT")
    result = run("song.wav", "-n", path, "--device", "cpu", cwd=tmp_path)
    assert result.code == 0

    def at(block: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
        rates = {"from_rate": from_rate, "to_rate": to_rate}
        return np.concatenate(list(resample([block], channels=len(block), **rates)), -1)

    resampled = torch.from_numpy(at(mix, rate, 44_100)).expand(2, -1)
    stems = by_package(trainer, reference, resampled, ours.segment, 4)
    for line, stem in zip(result.lines, stems, strict=True):
        expected = at(stem.numpy(), 44_100, rate)[:, : mix.shape[-1]]
        if channels == 1:
            expected = expected.mean(0, keepdims=True)
        found = torch.from_numpy(read(tmp_path / line))
        parts = decibels(torch.from_numpy(expected), found, 3 * ours.segment // 4)
        assert min(parts) >= 100, line


# --- What older versions made --------------------------------------------------------------------


def statuses(model: str, folder: Path, existing: Existing = "resume") -> list[str]:
    out = folder / model
    results = split_files(folder / "song.wav", out=out, model=model, existing=existing)
    return [result.status for result in results]


@pytest.mark.parametrize(
    ("name", "again"),
    [
        ("tiny.htdemucs", "skipped"),
        ("tiny.demucs", "failed"),
        ("tiny.demucs_v3", "failed"),
        ("tiny.hdemucs", "failed"),
        *((name, "failed") for name in TRAINED_BY_THE_COMMUNITY),
    ],
)
def test_stems_of_an_older_version_are_out_of_date_where_they_would_differ(
    name: str, again: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    soundfile.write(tmp_path / "song.wav", song(22_050).T, 44_100)
    with monkeypatch.context() as patch:
        patch.setattr(loading, "REVISIONS", {})  # as before songs were reflected
        assert statuses(name, tmp_path) == ["done"]
    assert statuses(name, tmp_path) == [again]
    if again == "failed":
        assert statuses(name, tmp_path, "update") == ["done"]
    assert statuses(name, tmp_path) == ["skipped"]
