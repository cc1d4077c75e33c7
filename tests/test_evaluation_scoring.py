"""Everything about the stems of one song at once, in memory and from files."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scored_stems import ESTIMATES, NAMES, RATE, REFERENCES, figures, in_memory, noise

from stemsplit.data.layouts import SongStems
from stemsplit.errors import InputError
from stemsplit.evaluation import (
    aura_mrstft,
    aura_stft,
    bleedless,
    bss_eval_v4,
    fullness,
    global_sdr,
    k_sdr,
    l1_freq,
    score,
)
from stemsplit.evaluation.scoring import BLOCK, score_sounds
from stemsplit.evaluation.sounds import find_sounds
from stemsplit.evaluation.steps import Steps


def test_the_figures_are_those_of_the_metrics() -> None:
    found = in_memory(mixture=REFERENCES.sum(0))
    assert [stem.name for stem in found.scores] == list(NAMES)
    for k, stem in enumerate(found.scores):
        assert stem.global_sdr == pytest.approx(global_sdr(REFERENCES[k], ESTIMATES[k]), abs=1e-9)
        # What is missing is a tenth of the one and a fifth of the other.
        assert stem.global_sdr == pytest.approx(-10 * math.log10(0.01 + 0.04), abs=0.2)
        for metric in (k_sdr, l1_freq, aura_stft):
            wanted = metric(REFERENCES[k], ESTIMATES[k])
            assert getattr(stem, metric.__name__) == pytest.approx(wanted, rel=1e-5)
        for metric in (aura_mrstft, bleedless, fullness):  # those of the mel scale need the rate
            wanted = metric(REFERENCES[k], ESTIMATES[k], RATE)
            assert getattr(stem, metric.__name__) == pytest.approx(wanted, rel=1e-4)
        wanted = bss_eval_v4(REFERENCES, ESTIMATES, RATE).sdr[k]
        assert stem.sdr == pytest.approx(wanted, abs=1e-9)
    assert found.null_residual == pytest.approx(-20, abs=0.1)  # the sum is 1.1 of the mixture
    assert (found.sample_rate, found.frames) == (RATE, 2 * RATE)


def limited_pair(frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Return references of half a band, as a lossy format leaves it, and estimates of them."""
    spectrum = np.fft.rfft(0.1 * noise(2, 2, frames).astype(np.float32))
    spectrum[..., spectrum.shape[-1] // 2 :] = 0
    references = np.fft.irfft(spectrum).astype(np.float32)
    return references, references + (0.02 * noise(*references.shape, seed=1)).astype(np.float32)


def write_pair(folder: Path, references: np.ndarray, estimates: np.ndarray) -> list[Path]:
    return [
        write(folder / name, **dict(zip(NAMES, waves, strict=True)))
        for name, waves in (("true", references), ("estimates", estimates))
    ]


def test_scores_that_rounding_decides_are_marked(tmp_path: Path) -> None:
    references, estimates = limited_pair(4 * RATE)
    wanted = bss_eval_v4(references, estimates, RATE)
    assert "sir" in wanted.unreproducible
    true, guess = write_pair(tmp_path, references, estimates)
    for found in (in_memory(estimates, references), score(guess, references=true)):
        assert found.unreproducible == wanted.unreproducible
        for k, stem in enumerate(found.scores):
            np.testing.assert_allclose(stem.sdr, wanted.sdr[k], atol=1e-9)


@pytest.mark.parametrize("frames", [RATE // 2, 6 * RATE])
@pytest.mark.parametrize("passes", [1, 2])
def test_progress_counts_the_samples_of_all_passes(
    frames: int, passes: int, tmp_path: Path
) -> None:
    true, guess = write_pair(tmp_path, *limited_pair(frames))
    truth = SongStems("a", true) if passes > 1 else None
    steps = Steps(score_sounds(find_sounds(SongStems("a", guess), truth)))
    events = list(steps)
    assert bool(steps.result.scores) == (passes > 1)
    assert {event.total for event in events} == {passes * frames}
    lengths = [min(BLOCK, frames - start) for start in range(0, frames, BLOCK)]
    assert [event.done for event in events] == np.cumsum(passes * lengths).tolist()


def test_without_references_there_are_measures() -> None:
    found = score(ESTIMATES, sample_rate=RATE, names=NAMES)
    assert found.scores == () and found.null_residual is None
    assert [stem.name for stem in found.measures] == list(NAMES)


def write(folder: Path, **stems: np.ndarray) -> Path:
    folder.mkdir()
    for name, stem in stems.items():
        soundfile.write(folder / f"{name}.wav", stem.T, RATE, subtype="FLOAT")
    return folder


def test_files_are_scored_as_arrays_are(tmp_path: Path) -> None:
    true = write(tmp_path / "true", **dict(zip(NAMES, REFERENCES, strict=True)))
    made = write(tmp_path / "made", **dict(zip(NAMES, ESTIMATES, strict=True)))
    found = score(made, references=str(true))
    assert found.song == "made"
    assert figures(found) == figures(in_memory())
    with pytest.raises(InputError, match="no such folder"):
        score(made, references=tmp_path / "nowhere")
