"""Resampling in a stream: no shift, no deadlock, no process left behind."""

import itertools
import os
import threading

import numpy as np
import psutil
import pytest
from audio_files import noise, tones
from hypothesis import given, settings
from hypothesis import strategies as st

from stemsplit.audio.ffmpeg import find_ffmpeg
from stemsplit.audio.resample import has_soxr, resample
from stemsplit.errors import ExitCode, ResourceError, StemsplitError

RATES = [8000, 11025, 22050, 44100, 48000, 96000]


def pieces(samples, size=10_000):
    for start in range(0, samples.shape[1], size):
        yield samples[:, start : start + size]


def converted(samples, from_rate, to_rate, size=10_000):
    blocks = resample(
        pieces(samples, size), channels=len(samples), from_rate=from_rate, to_rate=to_rate
    )
    return np.concatenate([np.zeros((len(samples), 0), np.float32), *blocks], 1)


def delay(found, frequency, sample_rate):
    """By how many samples a sine of phase 0.3 is late, measured in the middle of ``found``."""
    edge = found.shape[0] // 8
    time = np.arange(found.shape[0])[edge:-edge] / sample_rate
    turned = np.sum(found[edge:-edge] * np.exp(-2j * np.pi * frequency * time))
    return -(np.angle(turned) - (0.3 - np.pi / 2)) / (2 * np.pi * frequency) * sample_rate


@pytest.mark.parametrize(
    ("from_rate", "to_rate"), [*itertools.permutations([8000, 44100, 48000], 2)]
)
@pytest.mark.parametrize("channels", [1, 8, 12])
def test_sines_keep_place_level_and_channel(from_rate, to_rate, channels):
    frequencies = tuple(440.0 + 37 * k for k in range(channels))
    found = converted(tones(2 * from_rate, from_rate, frequencies), from_rate, to_rate)
    assert abs(found.shape[1] - 2 * to_rate) <= 2
    for k, frequency in enumerate(frequencies):
        assert abs(delay(found[k], frequency, to_rate)) < 0.01
    expected = tones(found.shape[1], to_rate, frequencies)
    middle = slice(to_rate // 4, -to_rate // 4)
    assert np.abs(found - expected)[:, middle].max() < 0.5 * 10 ** (-120 / 20)


def test_an_impulse_stays_where_it_is():
    song = np.zeros((1, 88200), np.float32)
    song[0, 44100] = 1
    found = converted(song, 44100, 96000)
    assert np.argmax(found[0]) == 96000
    assert found[0, 95990:96000] == pytest.approx(found[0, 96010:96000:-1], abs=1e-5)


@settings(max_examples=15, deadline=None)
@given(
    frames=st.integers(0, 60_000),
    channels=st.integers(1, 3),
    size=st.integers(100, 40_000),
    from_rate=st.sampled_from(RATES),
    to_rate=st.sampled_from(RATES),
)
def test_the_length_scales_with_the_rate(frames, channels, size, from_rate, to_rate):
    found = converted(noise(frames, channels), from_rate, to_rate, size)
    assert found.dtype == np.float32
    assert abs(found.shape[1] - frames * to_rate / from_rate) <= 2


def test_the_size_of_the_blocks_does_not_matter():
    song = noise(50_000)
    whole = converted(song, 44100, 48000, 50_000)
    assert np.array_equal(converted(song, 44100, 48000, 777), whole)


def test_equal_rates_pass_through_untouched():
    blocks = [noise(10), noise(20)]
    passed = list(resample(iter(blocks), channels=2, from_rate=44100, to_rate=44100))
    assert all(a is b for a, b in zip(passed, blocks, strict=True))


def test_memory_is_bounded_and_the_blocks_are_pulled_in_this_thread():
    """Three minutes of eight channels are 250 MB; what is under way stays below 100 MB."""
    threads = set()
    block = noise(44100, 8)

    def three_minutes():
        for _ in range(180):
            threads.add(threading.get_ident())
            yield block

    resident = psutil.Process().memory_info().rss
    highest = frames = 0
    for part in resample(three_minutes(), channels=8, from_rate=44100, to_rate=48000):
        frames += part.shape[1]
        highest = max(highest, psutil.Process().memory_info().rss)
    assert abs(frames - 180 * 48000) <= 2
    assert highest - resident < 100e6
    assert threads == {threading.get_ident()}


def test_an_exception_in_the_blocks_propagates_and_ends_the_child():
    before = psutil.Process().children()

    def broken():
        yield noise(100_000)
        assert len(psutil.Process().children()) == len(before) + 1
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        list(resample(broken(), channels=2, from_rate=44100, to_rate=48000))
    assert psutil.Process().children() == before


def test_closing_early_leaves_neither_process_nor_thread():
    before, threads = psutil.Process().children(), threading.active_count()
    stream = resample(
        (noise(44100) for _ in itertools.count()), channels=2, from_rate=44100, to_rate=48000
    )
    next(stream)
    assert len(psutil.Process().children()) == len(before) + 1
    stream.close()
    assert psutil.Process().children() == before
    assert threading.active_count() == threads


def test_an_ffmpeg_that_dies_is_a_resource_error():
    def murderous():
        yield noise(1000)
        psutil.Process().children()[-1].kill()
        while True:
            yield noise(44100)

    with pytest.raises(ResourceError, match=r"ffmpeg stopped while resampling: .*SIGKILL") as e:
        list(resample(murderous(), channels=2, from_rate=44100, to_rate=48000))
    assert e.value.exit_code == ExitCode.ENVIRONMENT


@pytest.mark.skipif(os.name == "nt", reason="a shell script stands before ffmpeg")
def test_an_ffmpeg_without_soxr_still_resamples_well(tmp_path, monkeypatch):
    """The real ffmpeg, behind a script that refuses soxr as a build without it does."""
    script = tmp_path / "ffmpeg"
    refusal = "echo '[error] Requested resampling engine is unavailable' >&2; exit 1"
    case = f'case "$*" in *soxr*) {refusal};; esac'
    script.write_text(f'#!/bin/sh\n{case}\nexec "{find_ffmpeg()}" "$@"\n')
    script.chmod(0o755)
    assert has_soxr()
    monkeypatch.setenv("STEMSPLIT_FFMPEG", str(script))
    assert not has_soxr()
    found = converted(tones(88200, 44100, (440.0,)), 44100, 48000)
    assert abs(found.shape[1] - 96000) <= 2
    assert abs(delay(found[0], 440.0, 48000)) < 0.01
    expected = tones(found.shape[1], 48000, (440.0,))
    assert np.abs(found - expected)[:, 9600:-9600].max() < 0.5 * 10 ** (-90 / 20)


def fitted(blocks, frames):
    return resample(blocks, channels=1, from_rate=4410, to_rate=4410, frames=frames)


@settings(max_examples=50, deadline=None)
@given(sizes=st.lists(st.integers(0, 500), min_size=1), frames=st.integers(0, 4000))
def test_the_requested_number_of_frames(sizes, frames):
    song = np.arange(sum(sizes), dtype=np.float32)[None]
    blocks = np.split(song, np.cumsum(sizes)[:-1], axis=1)
    if frames - song.shape[1] > 441:
        with pytest.raises(StemsplitError, match="frames are missing"):
            list(fitted(blocks, frames))
        return
    found = np.concatenate([np.zeros((1, 0)), *fitted(blocks, frames)], 1)
    assert found.shape == (1, frames)
    common = min(frames, song.shape[1])
    assert np.array_equal(found[:, :common], song[:, :common])
    assert not found[:, common:].any()


def test_everything_is_pulled_so_that_a_late_failure_is_not_missed():
    def late():
        yield noise(100, 1)
        raise StemsplitError("late")

    with pytest.raises(StemsplitError, match="late"):
        list(fitted(late(), 100))
    with pytest.raises(StemsplitError, match="4411 of 4411 frames are missing"):
        list(fitted([], 4411))
    assert list(fitted([], 0)) == []


@pytest.mark.parametrize("rate", [8000, 48000, 96000, 192000])
def test_a_song_of_one_frame_comes_back_as_one_frame(rate):
    """Resampling to 44.1 kHz may lose a single frame: then there is no block to pad."""
    there = resample([noise(1)], channels=2, from_rate=rate, to_rate=44100)
    (found,) = resample(there, channels=2, from_rate=44100, to_rate=rate, frames=1)
    assert found.shape == (2, 1)
    assert found.dtype == np.float32
