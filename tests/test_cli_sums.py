"""Outputs that are sums, and stems that sum to the song, as files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from command import TINY, run


@pytest.mark.parametrize("way", [("other",), ("spread",), ("drums", "--two-stems", "vocals")])
@pytest.mark.parametrize("form", [("wav",), ("flac", "--no-dither")])
def test_stems_of_16_bits_sum_to_the_song_exactly(
    way: tuple[str, ...], form: tuple[str, ...], tmp_path: Path
) -> None:
    """One takes what rounding and dither take from the others."""
    soundfile.write(tmp_path / "song.wav", loud_noise(), 44_100, subtype="PCM_16")
    words = ("song.wav", "--depth", "16", "--format", *form, "--sum-to-mix", *way)
    whole = run("-n", TINY, *words, "--mix", "quiet=0.1*mix", cwd=tmp_path)
    stems = [tmp_path / line for line in whole.lines if "quiet" not in line]
    song, *parts = (soundfile.read(p, dtype="int16")[0] for p in (tmp_path / "song.wav", *stems))
    assert len(parts) == (2 if "--two-stems" in way else 4)
    assert all(part.any() for part in parts)
    assert (np.sum(parts, axis=0, dtype=int) == song).all()


def test_the_stem_that_makes_the_sum_whole_is_the_same_when_made_alone(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "song.wav", loud_noise(), 44_100, subtype="PCM_16")
    words = ("-n", TINY, "song.wav", "--depth", "16", "--sum-to-mix", "bass")
    bass = tmp_path / run(*words, cwd=tmp_path).lines[1]
    before = bass.read_bytes()
    bass.unlink()
    again = run(*words, "--resume", cwd=tmp_path)
    assert again.lines == [str(bass.relative_to(tmp_path))]
    assert bass.read_bytes() == before
    piped = run(*words, "--stems", "bass", "-o", "-", cwd=tmp_path)
    assert piped.data != before  # nothing sums with it


def test_stems_of_16_bits_sum_to_a_song_of_more_to_its_last_bit(tmp_path: Path) -> None:
    song = loud_noise()
    soundfile.write(tmp_path / "song.wav", song, 44_100, subtype="FLOAT")
    lines = run(
        "-n", TINY, "song.wav", "--depth", "16", "--sum-to-mix", "other", cwd=tmp_path
    ).lines
    total = np.sum([soundfile.read(tmp_path / line)[0] for line in lines], axis=0)
    assert np.abs(total - song).max() < 0.51 / 2**15


def loud_noise() -> np.ndarray:
    return np.random.default_rng(5).normal(0, 0.1, (44_100, 2)).clip(-1, 1).astype(np.float32)
