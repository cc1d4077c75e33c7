"""The whole way of a song against the reference implementation, and against true stems."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from command import TINY, run
from oracles import reference_htdemucs, signal_to_difference

from stemsplit.audio.decode import read
from stemsplit.checkpoints import loading
from stemsplit.data.synthetic import render
from stemsplit.evaluation.metrics import global_sdr
from stemsplit.models.htdemucs import HTDemucsConfig
from stemsplit.models.operators import Operators, using
from stemsplit.separation.operator_choice import has_bf16

SONGS = Path(__file__).parent.parent.parent / "shared" / "stems" / "eval"

#: Global SDR in dB that the published weights reach with the reference implementation.
SCORES = {
    "eif_lithium": {"vocals": 5.4, "drums": 12.2, "bass": 19.4, "other": 3.1},
    "mdb_rock": {"vocals": 11.8, "drums": 9.2, "bass": 12.6, "other": 7.3},
}


def reference_of(name: str) -> Any:
    """Return the reference network with the configuration and the weights of the model ``name``."""
    model = loading.load(name)
    reference = reference_htdemucs(HTDemucsConfig(**model.config))
    reference.load_state_dict(model.state_dict(), strict=True)
    return reference


def separate_by_reference(reference: Any, mix: torch.Tensor) -> torch.Tensor:
    """Return the stems ``(S, C, T)`` as the reference implementation's own program makes them."""
    from demucs.apply import apply_model

    mono = mix.mean(0)
    mean, deviation = mono.mean(), mono.std() + 1e-8
    stems = apply_model(
        reference, ((mix - mean) / deviation)[None], shifts=0, split=True, overlap=0.25
    )
    return stems[0] * deviation + mean


def check_against_reference(name: str, mix: np.ndarray, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "song.wav", mix.T, 44_100, subtype="FLOAT")
    result = run("song.wav", "-n", name, cwd=tmp_path)
    assert result.code == 0
    reference = reference_of(name)
    expected = separate_by_reference(reference, torch.from_numpy(mix))
    for line, stem in zip(result.lines, expected, strict=True):
        ours = torch.from_numpy(read(tmp_path / line))
        assert signal_to_difference(stem, ours) >= 80, line


@pytest.mark.parametrize("seconds", [0.5, 2.1, 7.7])
def test_the_whole_pipeline_gives_the_numbers_of_the_reference(
    tmp_path: Path, seconds: float
) -> None:
    mix = sum(render(3, seconds=8.0).values())[:, : int(44_100 * seconds)]
    check_against_reference(TINY, np.ascontiguousarray(mix), tmp_path)


@pytest.mark.weights
def test_published_weights_give_the_numbers_of_the_reference(tmp_path: Path) -> None:
    for _ in loading.prepare("htdemucs"):
        pass
    mix = sum(render(3, seconds=14.0).values())
    check_against_reference("htdemucs", mix, tmp_path)


@pytest.mark.weights
@pytest.mark.skipif(not SONGS.is_dir(), reason="the songs with true stems are not here")
@pytest.mark.parametrize("song", SCORES)
def test_published_weights_reach_their_scores(song: str, tmp_path: Path) -> None:
    result = run(SONGS / song / "mixture.flac", "-n", "htdemucs", "--json", cwd=tmp_path)
    stems = json.loads(result.stdout)["stems"]
    scores = {
        stem["name"]: global_sdr(
            read(SONGS / song / f"{stem['name']}.flac"), read(tmp_path / stem["path"])
        )
        for stem in stems
    }
    assert scores == pytest.approx(SCORES[song], abs=0.1)


@pytest.mark.weights
@pytest.mark.skipif(not has_bf16(), reason="a CPU without bf16")
def test_faster_ways_stay_close_with_published_weights() -> None:
    """All fast operators 110 dB below every stem, and bf16 35."""
    for _ in loading.prepare("htdemucs"):
        pass
    network = loading.load("htdemucs").eval()
    mix = torch.from_numpy(sum(render(3, seconds=7.0).values()))[None]
    mix = (mix - mix.mean()) / mix.std()
    fast = Operators(linear=True, attention=True)

    def separate(operators: Operators, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        half = torch.autocast("cpu", dtype, enabled=dtype != torch.float32)
        with torch.inference_mode(), using(operators), half:
            return network(mix)[0].float()

    plain = separate(Operators())
    for stems, floor in (
        (separate(fast), 110),
        (separate(Operators(half_attention=True), torch.bfloat16), 35),
    ):
        for stem, exact in zip(stems, plain, strict=True):
            assert signal_to_difference(exact, stem) >= floor
