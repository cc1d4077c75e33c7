"""The first pass over a song: length, mean and deviation, against the whole song in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from stemsplit.audio.probe import probe
from stemsplit.errors import InputError
from stemsplit.separation.scan import scan


def write(path: Path, frames: int, channels: int, sample_rate: int = 44_100) -> np.ndarray:
    """Write noise around 0.3 and return it ``(T, C)``: a mean that matters for the deviation."""
    noise = 0.3 + np.random.default_rng(frames).normal(0, 0.1, (frames, channels))
    samples = noise.astype(np.float32)
    soundfile.write(path, samples, sample_rate, subtype="FLOAT")
    return samples


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("frames", [2, 3, 1_000, 100_001])
def test_statistics_are_those_of_the_whole_song(tmp_path: Path, frames: int, channels: int) -> None:
    mono = write(tmp_path / "x.wav", frames, channels).astype(np.float64).mean(axis=1)
    found = scan(probe(tmp_path / "x.wav"), 44_100)
    assert (found.frames, found.warnings) == (frames, ())
    assert found.mean == pytest.approx(mono.mean(), rel=1e-9)
    # Unbiased: with few frames the difference is large.
    assert found.deviation == pytest.approx(mono.std(ddof=1), rel=1e-6)


def test_the_model_works_at_another_rate(tmp_path: Path) -> None:
    mono = write(tmp_path / "x.wav", 48_000, 2, sample_rate=48_000).mean(axis=1)
    found = scan(probe(tmp_path / "x.wav"), 44_100)
    assert found.frames == 48_000
    assert found.mean == pytest.approx(mono.mean(), rel=1e-3)


def test_one_frame_has_no_deviation(tmp_path: Path) -> None:
    write(tmp_path / "x.wav", 1, 2)
    assert scan(probe(tmp_path / "x.wav"), 44_100).deviation == 0


def test_the_first_nan_or_infinity_is_located(tmp_path: Path) -> None:
    samples = write(tmp_path / "x.wav", 100_000, 2)
    samples[60_000, 0] = np.inf
    samples[70_000, 1] = np.nan
    soundfile.write(tmp_path / "x.wav", samples, 44_100, subtype="FLOAT")
    with pytest.raises(InputError, match=r"the first at 1\.361 s \(frame 60000\)"):
        scan(probe(tmp_path / "x.wav"), 44_100)
