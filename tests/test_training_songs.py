"""Which songs a run trains on, and which it validates on."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from training import RATE, SOURCES, write_songs

from stemsplit.data.collections import TrainingSong
from stemsplit.training.recipe import DataSettings
from stemsplit.training.songs import Songs, find_songs, open_songs


def opened(songs: list[TrainingSong], cache: Path, counts: list[tuple[int, int]]) -> Songs:
    return open_songs(
        songs,
        (*SOURCES, "drums"),
        DataSettings(valid=0.5),
        sample_rate=RATE,
        channels=1,
        cache=cache,
        progress=lambda done, total: counts.append((done, total)),
    )


def test_the_only_song_with_a_source_is_trained_on(tmp_path: Path) -> None:
    songs = find_songs([write_songs(tmp_path / "songs", 4)], SOURCES, (), {})
    for only in songs:
        made = [
            dataclasses.replace(song, stems={**song.stems, "drums": song.stems["vocals"]})
            if song is only
            else song
            for song in songs
        ]
        found = opened(made, tmp_path / "cache", [])
        assert only.name in [song.name for song in found.train.songs]
        assert found.validate.songs


def test_a_song_that_cannot_be_read_is_not_the_one_to_validate_on(tmp_path: Path) -> None:
    songs = find_songs([write_songs(tmp_path / "songs", 3)], SOURCES, (), {})
    [chosen, *_] = opened(songs, tmp_path / "cache", []).validate.songs
    (tmp_path / "songs" / chosen.name / "vocals.wav").write_bytes(b"RIFF")
    found = opened(songs, tmp_path / "cache", [])
    assert len(found.train.songs) == len(found.validate.songs) == 1
    assert found.left_out == 1
    [warning] = found.warnings
    assert warning.startswith(f"{chosen.name} is left out: ")


def test_opening_counts_all_files_once(tmp_path: Path) -> None:
    songs = find_songs([write_songs(tmp_path / "songs", 3)], SOURCES, (), {})
    counts: list[tuple[int, int]] = []
    opened(songs, tmp_path / "cache", counts)
    assert counts == [(done, 6) for done in range(1, 7)]
