"""The same recording is found again after lossy coding, gain and cuts; others are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from audio_files import noise, store

from stemsplit.audio.decode import read
from stemsplit.audio.probe import probe
from stemsplit.data.fingerprint import MOST, LandmarkMeter, Landmarks, find_matches
from stemsplit.data.leakage import SameSong, find_same_songs
from stemsplit.data.synthetic import render

RATE = 44_100


def landmarks(sound: np.ndarray, rate: int = RATE, block: int = 30_011) -> Landmarks:
    meter = LandmarkMeter(rate)
    for start in range(0, sound.shape[1], block):
        meter.add(sound[:, start : start + block].astype(np.float32))
    return meter.result()


@pytest.fixture(scope="module")
def songs() -> list[dict[str, np.ndarray]]:
    """Three songs of the same synthetic instruments."""
    return [render(seed=seed, seconds=10.0, sample_rate=RATE) for seed in (1, 2, 3)]


@pytest.mark.parametrize(
    ("ending", "words"),
    [
        ("mp3", ("-b:a", "64k")),
        ("opus", ("-b:a", "64k")),
        ("m4a", ("-b:a", "96k")),
        ("wav", ("-ar", "22050", "-ac", "1")),
        ("wav", ("-ar", "48000", "-af", "volume=-20dB")),
        ("flac", ("-ss", "1.2345", "-t", "7")),
        ("wav", ("-af", "aecho=0.8:0.5:25:0.2")),
    ],
)
def test_a_copy_of_a_song_is_found(
    songs: list[dict[str, np.ndarray]], tmp_path: Path, ending: str, words: tuple[str, ...]
) -> None:
    sound = sum(songs[0].values())
    copy = store(tmp_path / f"copy.{ending}", np.float32(sound), RATE, *words)
    found = landmarks(read(copy), probe(copy).sample_rate)
    originals = [landmarks(sum(song.values())) for song in songs]
    (match,) = find_matches([*originals, found])
    assert (match.first, match.second) == (0, 3)
    assert match.share > 0.15
    assert abs(match.delay - (-1.2345 if ending == "flac" else 0.0)) < 0.07


def test_stems_of_different_songs_do_not_match(songs: list[dict[str, np.ndarray]]) -> None:
    stems = [landmarks(stem) for song in songs for stem in song.values()]
    assert find_matches(stems) == []


def test_an_excerpt_of_a_long_recording_is_found() -> None:
    rng = np.random.default_rng(3)
    notes = rng.integers(40, 80, 400)
    times = np.arange(RATE // 4) / RATE
    tune = [
        np.exp(-9 * times) * np.sin(2 * np.pi * 440 * 2 ** ((n - 69) / 12) * times) for n in notes
    ]
    chords = [a + 0.5 * b + 0.3 * c for a, b, c in zip(tune, tune[7:], tune[31:], strict=False)]
    sound = np.concatenate(chords)[None]
    long, short = landmarks(sound), landmarks(0.1 * sound[:, 30 * RATE : 38 * RATE])
    assert len(long.values) == MOST
    assert len(short.values) < MOST
    (match,) = find_matches([short, long])
    assert match.delay == pytest.approx(30.0, abs=0.07)
    assert match.share > 0.4


def test_blocks_of_any_length_give_the_same_landmarks() -> None:
    sound = noise(3 * RATE, 2)
    whole = landmarks(sound, block=10**9)
    assert len(whole.values) > 50
    for block in (1000, 44_100, 7):
        found = landmarks(sound[:, : RATE // 4] if block == 7 else sound, block=block)
        expected = landmarks(sound[:, : RATE // 4], block=10**9) if block == 7 else whole
        np.testing.assert_array_equal(found.values, expected.values)
        np.testing.assert_array_equal(found.places, expected.places)


@pytest.mark.parametrize("frames", [0, 100, 5000, 88_200])
def test_silence_and_short_sounds_match_nothing(frames: int) -> None:
    silent = landmarks(np.zeros((2, frames)))
    assert len(silent.values) == 0
    assert find_matches([silent, silent]) == []
    assert find_matches([]) == []


def test_songs_share_a_loop_without_being_the_same(songs: list[dict[str, np.ndarray]]) -> None:
    marks = [{name: [landmarks(stem)] for name, stem in song.items()} for song in songs]
    borrowed = {**marks[1], "drums": marks[0]["drums"]}
    named = [("a", marks[0]), ("b", borrowed)]
    assert find_same_songs(named) == []
    half = {**borrowed, "vocals": marks[0]["vocals"]}
    assert find_same_songs([("a", marks[0]), ("b", half)]) == [SameSong(0, 1)]
    late = {name: [landmarks(np.pad(stem, ((0, 0), (RATE, 0))))] for name, stem in songs[0].items()}
    assert find_same_songs([("c", marks[2]), ("a", marks[0]), ("b", late)]) == [SameSong(1, 2)]
    mixed = {"vocals": late["vocals"], "other": marks[0]["other"]}
    assert find_same_songs([("a", {k: marks[0][k] for k in mixed}), ("b", mixed)]) == [
        SameSong(0, 1)
    ]
