"""A part of a song: what people write, and the samples that come out."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import soundfile
from audio_files import store
from hypothesis import given
from hypothesis import strategies as st

from stemsplit.audio.decode import decode
from stemsplit.audio.excerpt import cut, parse_time
from stemsplit.audio.probe import probe
from stemsplit.errors import InputError, UsageError
from stemsplit.options import Excerpt
from stemsplit.types import StreamInfo

RATE = 44_100


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("90.5", 90.5),
        (".5", 0.5),
        ("1:30", 90),
        ("01:30.25", 90.25),
        ("1:02:03.5", 3723.5),
        ("0", 0),
        ("125:00", None),
        ("1:3", None),
        ("-1", None),
        ("1:90x", None),
        ("nan", None),
        ("1e3", None),
        ("", None),
    ],
)
def test_times(text: str, seconds: float | None) -> None:
    if seconds is None:
        with pytest.raises(UsageError, match="invalid time"):
            parse_time(text)
    else:
        assert parse_time(text) == seconds


@given(st.integers(0, 99), st.integers(0, 59), st.integers(0, 59_999))
def test_a_clock_and_its_seconds_are_the_same_time(hours: int, minutes: int, ms: int) -> None:
    text = f"{hours}:{minutes:02}:{ms // 1000:02}.{ms % 1000:03}"
    assert parse_time(text) == pytest.approx(hours * 3600 + minutes * 60 + ms / 1000)


@pytest.mark.parametrize("ending", ["flac", "aiff", "wv"])
def test_a_song_of_a_few_samples_can_be_cut(ending: str, tmp_path: Path) -> None:
    """ffmpeg reports its length as 0.00 s."""
    short = probe(store(tmp_path / f"short.{ending}", np.full((2, 200), 0.1, "float32"), RATE))
    with decode(cut(short, Excerpt())) as blocks:
        assert sum(block.shape[1] for block in blocks) == 200
    with pytest.raises(InputError, match=r"ends at 0:00, before 0:01"):
        cut(short, Excerpt(start=1))


def info(duration: float | None = 10.0) -> StreamInfo:
    return StreamInfo(
        path=Path("song.wav"),
        sample_rate=RATE,
        channels=2,
        stored_channels=2,
        duration=duration,
        codec="pcm_s16le",
    )


@pytest.mark.parametrize(
    ("excerpt", "first", "end"),
    [
        (Excerpt(), 0, None),
        (Excerpt(start=1), RATE, None),
        (Excerpt(end=2.5), 0, 110_250),
        (Excerpt(start=1, end=2), RATE, 2 * RATE),
        (Excerpt(start=1, duration=2), RATE, 3 * RATE),
        (Excerpt(preview=4), 3 * RATE, 7 * RATE),
        (Excerpt(preview=30), 0, 30 * RATE),
        (Excerpt(start=0.5 / RATE, end=0.6 / RATE), 0, 1),
    ],
)
def test_seconds_become_frames(excerpt: Excerpt, first: int, end: int | None) -> None:
    part = cut(info(), excerpt)
    assert (part.first_frame, part.end_frame) == (first, end)
    assert dataclasses.replace(part, first_frame=0, end_frame=None) == info()


def test_the_preview_of_a_song_of_unknown_length_is_its_beginning() -> None:
    part = cut(info(duration=None), Excerpt(preview=4))
    assert (part.first_frame, part.end_frame) == (0, 4 * RATE)


def test_a_part_that_begins_after_the_end_is_an_error() -> None:
    with pytest.raises(InputError, match=r"song.wav: ends at 0:10, before 0:10"):
        cut(info(), Excerpt(start=10))


@pytest.mark.parametrize(
    "values",
    [
        {"end": 1, "duration": 1},
        {"preview": 1, "start": 0},
        {"start": 2, "end": 2},
        {"start": 2, "end": 1},
        {"duration": 0},
        {"preview": 0},
        {"end": 0},
    ],
)
def test_parts_that_mean_nothing(values: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        Excerpt(**values)


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3", "ogg", "m4a"])
@pytest.mark.parametrize(("first", "end"), [(0, 5000), (12_345, 30_001), (70_001, None), (1, 2)])
def test_the_part_is_that_of_the_whole_to_the_sample(
    mixture: np.ndarray, tmp_path: Path, suffix: str, first: int, end: int | None
) -> None:
    whole = probe(store(tmp_path / f"song.{suffix}", mixture, RATE))
    with decode(whole) as blocks:
        expected = np.concatenate(list(blocks), axis=1)[:, first:end]
    with decode(dataclasses.replace(whole, first_frame=first, end_frame=end)) as blocks:
        part = np.concatenate(list(blocks), axis=1)
    np.testing.assert_array_equal(part, expected)


def test_an_excerpt_before_the_missing_end_is_not_truncated(
    mixture: np.ndarray, tmp_path: Path
) -> None:
    path = tmp_path / "cut.wav"
    soundfile.write(path, mixture.T, RATE, "PCM_16")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    half = cut(probe(path), Excerpt(end=0.5))
    with decode(half) as blocks:
        assert sum(block.shape[1] for block in blocks) == RATE // 2
    rest = cut(probe(path), Excerpt(start=0.5))
    with pytest.raises(InputError, match="truncated"), decode(rest) as blocks:
        list(blocks)
