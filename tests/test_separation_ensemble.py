"""The mean of passes: of shifted ones, and of several models."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from command import TINY, run
from hypothesis import given, settings
from hypothesis import strategies as st
from test_separation_engine import Halves, HalvesConfig, blocks, joined
from torch import Tensor

from stemsplit.checkpoints import loading
from stemsplit.errors import UsageError
from stemsplit.options import EngineOptions
from stemsplit.separation.engine import Engine
from stemsplit.separation.ensemble import EnsembleEngine, load_engine


@dataclass(frozen=True, slots=True, kw_only=True)
class RampConfig(HalvesConfig):
    sources: tuple[str, ...] = ("ramp",)


class Ramp(Halves):
    """One source: the mix, weighted by its position in a segment."""

    Config = RampConfig

    def forward(self, mix: Tensor) -> Tensor:
        return (mix * torch.linspace(0, 1, self.segment))[:, None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ThirdsConfig(HalvesConfig):
    sources: tuple[str, ...] = ("half", "third")
    segment: int = 70


class Thirds(Halves):
    """Another rate of segments and other stems: a third of the mix, and nothing."""

    Config = ThirdsConfig

    def forward(self, mix: Tensor) -> Tensor:
        return torch.stack([mix, mix / 3], 1)


def engine(kind: type[Halves], **options: float) -> Engine:
    return Engine(kind.from_config({}), device="cpu", **options)  # type: ignore[arg-type]


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 900), st.integers(1, 4), st.integers(0, 3))
def test_a_shift_invariant_network_gives_the_same_shifted(
    frames: int, shifts: int, seed: int
) -> None:
    audio = torch.randn(1, frames)
    ensemble = EnsembleEngine([engine(Halves)], shifts=shifts, seed=seed)
    out = torch.cat(list(ensemble.separate(blocks(audio))), -1)
    assert out.shape == (2, 1, frames)
    assert (out[0] - audio / 2).abs().max() < 1e-6


def test_shifts_are_averaged_and_depend_on_the_seed_alone() -> None:
    audio = torch.ones(1, 1_000)

    def separated(shifts: int, seed: int = 0) -> Tensor:
        ensemble = EnsembleEngine([engine(Ramp, overlap=0.0)], shifts=shifts, seed=seed)
        return torch.cat(list(ensemble.separate(blocks(audio))), -1)[0, 0]

    plain = joined(engine(Ramp, overlap=0.0), audio)[0, 0]
    assert torch.equal(separated(1), plain)
    two = separated(2)
    # The second pass is the same ramp from another place: what is added to the first is it.
    second = 2 * two - plain
    step = int((second[1:] - second[:-1]).argmin()) + 1
    assert 0 < step < 100
    assert (second[step : step + 100] - plain[:100]).abs().max() < 1e-5
    assert torch.equal(two, separated(2))
    assert not torch.equal(two, separated(2, seed=1))
    assert separated(32).std() < plain.std() / 3


def test_a_stem_is_the_mean_of_the_models_that_give_it() -> None:
    audio = torch.randn(1, 531)
    ensemble = EnsembleEngine([engine(Halves), engine(Thirds)])
    assert ensemble.sources == ("half", "mirrored", "third")
    out = torch.cat(list(ensemble.separate(blocks(audio))), -1)
    assert (out[0] - audio * 0.75).abs().max() < 1e-6
    assert torch.equal(out[1], joined(engine(Halves), audio)[1])
    assert (out[2] - audio / 3).abs().max() < 1e-6


def test_models_with_different_rates_are_incompatible() -> None:
    slow = engine(Halves)
    slow.sample_rate = 16_000
    with pytest.raises(UsageError, match="different sample rates: 8000 Hz, 16000 Hz"):
        EnsembleEngine([engine(Halves), slow])


def test_warnings_of_an_engine_are_those_of_the_ensemble() -> None:
    ensemble = EnsembleEngine([engine(Halves), engine(Thirds)])
    ensemble.engines[1].warnings.append("out of memory")
    assert ensemble.warnings == ["out of memory"]


def test_a_name_with_commas_is_several_models() -> None:
    name = "tiny.htdemucs,tiny.demucs_v3"
    assert set(loading.stems_of(name)) == {"drums", "bass", "other", "vocals"}
    ensemble = load_engine(name, ["bass"], EngineOptions(device="cpu"))
    assert isinstance(ensemble, EnsembleEngine)
    assert len(ensemble.engines) == 2
    assert isinstance(load_engine(TINY, ["bass"], EngineOptions(device="cpu")), Engine)
    assert loading.label(name) == "tiny.htdemucs+tiny.demucs_v3"
    assert loading.fingerprint(name) != loading.fingerprint(TINY)
    with pytest.raises(UsageError, match="no model 'nosuch'"):
        loading.stems_of("tiny.htdemucs,nosuch")


def test_an_ensemble_on_the_command_line(song: Path, tmp_path: Path) -> None:
    names = ("tiny.htdemucs", "tiny.demucs_v3")
    outs = {}
    for words in (["-n", names[0]], ["-n", names[1]], ["--ensemble", ",".join(names)]):
        done = run(*words, "--stems", "bass", "-o", words[1], song, cwd=tmp_path)
        assert (done.code, len(done.lines)) == (0, 1)
        outs[words[1]] = soundfile.read(tmp_path / done.lines[0])[0]
    mean = (outs[names[0]] + outs[names[1]]) / 2
    np.testing.assert_allclose(outs[",".join(names)], mean, atol=1e-6)


def test_shifts_on_the_command_line(song: Path, tmp_path: Path) -> None:
    def split(*words: str) -> bytes:
        done = run("-n", TINY, "--stems", "bass", "-f", *words, song, cwd=tmp_path)
        assert done.code == 0
        return (tmp_path / done.lines[0]).read_bytes()

    two = split("--shifts", "2")
    assert split("--shifts", "2", "--seed", "0") == two
    assert split("--shifts", "2", "--seed", "1") != two
    assert split("--shifts", "1") == split()


def test_segments_of_another_length(song: Path, tmp_path: Path) -> None:
    model = loading.load(TINY)
    assert engine_segment(TINY, None) == model.segment
    assert engine_segment("tiny.demucs_v3", 1.5) == 66_150
    failed = run("-n", TINY, "--segment", "60", song, cwd=tmp_path)
    assert failed.code == 2
    assert "cannot process segments of 60 s" in failed.stderr
    done = run("-n", "tiny.demucs_v3", "--segment", "0.7", song, cwd=tmp_path)
    assert done.code == 0
    assert soundfile.info(tmp_path / done.lines[0]).frames == 2 * 44_100


def engine_segment(name: str, seconds: float | None) -> int:
    return Engine(loading.load(name), device="cpu", segment=seconds).segment
