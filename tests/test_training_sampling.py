"""Batches: functions of seed, step, process and order alone, drawn as the recipe says."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from training import SOURCES, write_songs

from stemsplit.data.collections import find_training_songs
from stemsplit.data.store import SongStore
from stemsplit.errors import InputError
from stemsplit.training.loader import Loader
from stemsplit.training.recipe import DataSettings
from stemsplit.training.sampling import Drawing, Sampler

FRAMES = 1000


class Marked:
    """A store of songs whose samples say which song, source and frame they are."""

    def __init__(self, lengths: list[int], silent: bool = False) -> None:
        self.songs = [type("Song", (), {"name": str(n), "stems": SOURCES})() for n in range(3)]
        self._lengths = lengths
        self._silent = silent

    def frames(self, song: int) -> int:
        return self._lengths[song]

    def read(self, song: int, source: str, start: int, frames: int) -> NDArray[np.float32]:
        if song == 2 and self._silent:
            raise InputError("gone")
        mark = 10_000 * song + 100_000 * SOURCES.index(source) + np.arange(start, start + frames)
        return mark[None].astype(np.float32)

    def levels(self, song: int, source: str) -> NDArray[np.float32]:
        levels = np.full(self._lengths[song] // 100 + 1, -90.0, np.float32)
        levels[: len(levels) // 2] = -20.0
        return levels


def sampler(store: object, *, seed: int = 0, process: int = 0, **data: object) -> Sampler:
    drawing = Drawing(
        sources=SOURCES,
        frames=FRAMES,
        size=4,
        sample_rate=1000,
        data=DataSettings(**data),  # type: ignore[arg-type]
        augment=(),
        seed=seed,
        process=process,
    )
    return Sampler(store, drawing)  # type: ignore[arg-type]


@pytest.fixture
def store() -> Marked:
    return Marked([5000, 3000, 9000])


def marks(draw: Sampler, step: int = 0) -> list[list[tuple[int, int]]]:
    """Return the song and the first frame of each source of each excerpt."""
    first = draw.draw(step).sources[:, :, 0, 0].astype(int) % 100_000
    return [[divmod(int(mark), 10_000) for mark in row] for row in first]


def test_a_batch_is_a_function_of_seed_step_process_and_order(store: Marked) -> None:
    same = sampler(store).draw(7)
    assert np.array_equal(same.sources, sampler(store).draw(7).sources)
    others = [
        sampler(store).draw(8),
        sampler(store).draw(7, order=1),
        sampler(store, seed=1).draw(7),
        sampler(store, process=1).draw(7),
    ]
    for other in others:
        assert not np.array_equal(same.sources, other.sources)
    assert same.sources.shape == (4, 2, 1, FRAMES)
    assert np.array_equal(same.mix, same.sources.sum(1))


def test_sources_are_of_one_song_at_one_time_unless_they_are_remixed(store: Marked) -> None:
    together = [row for step in range(20) for row in marks(sampler(store), step)]
    assert all(first == second for first, second in together)
    apart = [row for step in range(20) for row in marks(sampler(store, remix=1.0), step)]
    assert sum(first == second for first, second in apart) < 5


def test_long_songs_are_drawn_more_often_unless_songs_weigh_the_same(store: Marked) -> None:
    for weigh, expected in (("length", [5 / 17, 3 / 17, 9 / 17]), ("song", [1 / 3] * 3)):
        drawn = [
            row[0][0] for step in range(300) for row in marks(sampler(store, weigh=weigh), step)
        ]
        counts = np.bincount(drawn, minlength=3) / len(drawn)
        assert np.abs(counts - expected).max() < 0.05


def test_excerpts_stay_within_songs_that_are_long_enough(store: Marked) -> None:
    for step in range(50):
        for (song, start), _ in marks(sampler(store), step):
            assert 0 <= start <= store.frames(song) - FRAMES


def test_silent_excerpts_are_drawn_as_often_as_asked(store: Marked) -> None:
    def silent(share: float) -> float:
        chosen = sampler(store, remix=1.0, silent=share)
        found = [
            start >= store.frames(song) / 2 + 100
            for step in range(100)
            for row in marks(chosen, step)
            for song, start in row
        ]
        return float(np.mean(found))

    assert silent(0.0) == 0
    assert silent(1.0) > 0.2


def test_a_song_that_is_gone_is_replaced_and_reported_once() -> None:
    chosen = sampler(Marked([5000, 3000, 9000], silent=True), remix=0.5)
    for step in range(30):
        assert {song for row in marks(chosen, step) for song, _ in row} <= {0, 1}
    assert chosen.warnings == ["2: left out: gone"]


def test_a_source_that_no_song_has_is_refused(store: Marked) -> None:
    for song in store.songs:
        song.stems = SOURCES[:1]
    with pytest.raises(InputError, match="no song to train on has accompaniment"):
        sampler(store)


# --- Workers -------------------------------------------------------------------------------------


@pytest.fixture
def real(tmp_path: Path) -> Sampler:
    songs = find_training_songs(write_songs(tmp_path / "songs"), SOURCES, {})
    opened = SongStore(
        songs, SOURCES, sample_rate=8000, channels=1, cache=tmp_path / "cache", limit=10**9
    )
    return sampler(opened)


def draw(loader: Loader, steps: int) -> Iterator[NDArray[np.float32]]:
    for _ in range(steps):
        yield loader.next().sources


def test_workers_draw_the_batches_of_the_sampler_in_order(real: Sampler) -> None:
    shape = (4, 2, 1, FRAMES)
    expected = [real.draw(step).sources for step in range(3, 10)]
    with Loader(real, 2, shape) as loader:
        loader.start(3)
        assert all(map(np.array_equal, draw(loader, 7), expected))
        loader.start(4, order=1)  # as after a failed step
        assert np.array_equal(loader.next().sources, real.draw(4, 1).sources)
        assert loader.waited > 0


def test_workers_end_with_the_loader_and_leave_no_files(real: Sampler) -> None:
    before = set(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else set()
    with Loader(real, 1, (4, 2, 1, FRAMES)) as loader:
        loader.start(0)
        loader.next()
        process = loader._workers[0].process
        left = {each for each in os.listdir("/dev/shm") if each.startswith("stemsplit")} - before
        assert not left
    assert not process.is_alive()
