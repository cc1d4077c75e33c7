"""The part of a song in a page: where it begins, what it holds, its encoding."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from audio_files import noise, run_ffmpeg
from song_scores import stored_song

from stemsplit.data.stems import StemFiles
from stemsplit.errors import InputError
from stemsplit.evaluation.report.clip import cut_clip, cut_sets, encode_opus
from stemsplit.evaluation.report.stem_sets import ComparedSong

RATE = 8_000


def test_a_clip_begins_where_the_errors_are_loudest(tmp_path: Path) -> None:
    reference = noise(10 * RATE)
    estimate = reference.copy()
    estimate[:, 4 * RATE : 5 * RATE] += 0.1  # a smaller error than that of the other stem
    other = np.zeros_like(reference)
    wrong = other.copy()
    wrong[:, 7 * RATE : 8 * RATE] = 0.2
    song = stored_song(tmp_path, {"a": estimate, "b": wrong}, {"a": reference, "b": other})
    assert cut_clip(song, 1).start == 7 * RATE
    assert cut_clip(song, 4).start == 4 * RATE  # holds both
    assert cut_clip(song, 10).start == cut_clip(song, 99).start == 0
    assert cut_clip(song, 99).frames == 10 * RATE


def test_a_clip_ends_with_the_song(tmp_path: Path) -> None:
    estimate = noise(3 * RATE + 100)
    estimate[:, 2 * RATE :] *= 3
    estimate[:, 3 * RATE :] = 1.0
    cut = cut_clip(stored_song(tmp_path, {"a": estimate}, {}), 1.5)
    assert (cut.start, cut.frames) == (RATE, 12_000)
    np.testing.assert_array_equal(cut.signals["a"]["estimate"], estimate[:, RATE : RATE + 12_000])


def test_without_references_it_begins_where_the_stem_is_loudest(tmp_path: Path) -> None:
    estimate = noise(6 * RATE) * 0.1
    estimate[:, 2 * RATE : 3 * RATE] *= 20
    assert cut_clip(stored_song(tmp_path, {"a": estimate}, {}), 1).start == 2 * RATE


def test_it_holds_reference_estimate_and_their_difference(tmp_path: Path) -> None:
    reference, estimate = noise(5 * RATE, seed=1), noise(5 * RATE, seed=2)
    estimate[:, 3 * RATE :] *= 9
    song = stored_song(tmp_path, {"a": estimate, "b": estimate}, {"a": reference})
    cut = cut_clip(song, 1.5)
    assert (cut.start, cut.frames) == (3 * RATE, 12_000)
    part = slice(3 * RATE, 3 * RATE + 12_000)
    assert list(cut.signals["a"]) == ["reference", "estimate", "error"]
    np.testing.assert_array_equal(cut.signals["a"]["reference"], reference[:, part])
    np.testing.assert_array_equal(cut.signals["a"]["error"], (estimate - reference)[:, part])
    assert list(cut.signals["b"]) == ["estimate"]


def test_the_mixture_is_cut_too_where_there_are_no_references(tmp_path: Path) -> None:
    estimate, mix = noise(5 * RATE, seed=1), noise(5 * RATE, seed=2)
    estimate[:, 3 * RATE :] *= 9
    soundfile.write(tmp_path / "mix.wav", mix.T, RATE, subtype="FLOAT")
    mixture = StemFiles(paths=(tmp_path / "mix.wav",))
    song = replace(stored_song(tmp_path, {"a": estimate}, {}), mixture=mixture)
    found = cut_clip(song, 1.5).mixture
    assert found is not None
    np.testing.assert_array_equal(found, mix[:, 3 * RATE : 3 * RATE + 12_000])
    scored = stored_song(tmp_path, {"a": estimate}, {"a": estimate})
    assert cut_clip(replace(scored, mixture=mixture), 1.5).mixture is None


def test_one_channel_goes_to_both_sides(tmp_path: Path) -> None:
    estimate = noise(RATE, 1)
    cut = cut_clip(stored_song(tmp_path, {"a": estimate}, {}), 1)
    np.testing.assert_array_equal(cut.signals["a"]["estimate"], np.repeat(estimate, 2, axis=0))


def test_an_error_names_the_missing_file(tmp_path: Path) -> None:
    song = stored_song(tmp_path, {"a": noise(RATE)}, {})
    (tmp_path / "e a.wav").unlink()
    with pytest.raises(InputError, match=r"e a\.wav: no such file"):
        cut_clip(song, 1)


def test_opus_keeps_length_place_and_level() -> None:
    signal = noise(3 * 44_100 + 17)
    data = encode_opus(signal, 44_100)
    assert data.startswith(b"OggS") and b"OpusHead" in data[:100]
    assert 35_000 < len(data) < 65_000  # 128 kbit/s of three seconds are 48,000 bytes
    form = ("-f", "f32le", "-ar", "44100", "-ac", "2")
    decoded = np.frombuffer(run_ffmpeg("-i", "pipe:0", *form, "pipe:1", data=data), "<f4")
    played = decoded.reshape(-1, 2).T
    assert abs(played.shape[1] - signal.shape[1]) <= 1
    frames = min(played.shape[1], signal.shape[1])
    truth, played = signal[0, :frames], played[0, :frames]
    product = np.fft.irfft(np.fft.rfft(played) * np.conj(np.fft.rfft(truth)))
    assert np.argmax(product) == 0  # not a sample late
    assert 10 * math.log10(np.sum(truth**2) / np.sum((truth - played) ** 2)) > 10
    assert encode_opus(signal, 44_100) == data


def test_of_sets_the_part_is_cut_in_which_they_differ_most(tmp_path: Path) -> None:
    reference, mix = noise(8 * RATE), noise(8 * RATE, seed=2)
    a, b = reference.copy(), reference.copy()
    for wrong in (a, b):
        wrong[:, 2 * RATE : 3 * RATE] += 0.5  # both have this error: it does not distinguish them
    b[:, 5 * RATE : 6 * RATE] += 0.1
    soundfile.write(tmp_path / "mix.wav", mix.T, RATE, subtype="FLOAT")
    mixture = StemFiles(paths=(tmp_path / "mix.wav",))
    sets = {}
    for name, estimate in (("a", a), ("b", b)):
        (tmp_path / name).mkdir()
        stored = stored_song(tmp_path / name, {"vocals": estimate}, {"vocals": reference})
        sets[name] = replace(stored, mixture=mixture)
    cut = cut_sets(ComparedSong(name="song", sets=sets), 1)
    part = slice(5 * RATE, 6 * RATE)
    assert (cut.start, cut.frames) == (5 * RATE, RATE)
    assert list(cut.signals["vocals"]) == ["set-0", "set-1", "reference"]
    for found, wanted in zip(cut.signals["vocals"].values(), (a, b, reference), strict=True):
        np.testing.assert_array_equal(found, wanted[:, part])
    np.testing.assert_array_equal(cut.mixture, mix[:, part])
