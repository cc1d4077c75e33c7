"""Recordings that songs are made of: stems of other songs, singing, and drum samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from stemsplit.audio.detect import has_media_name
from stemsplit.data.collections import TrainingSong, find_training_songs
from stemsplit.data.collections.song import walk_folders
from stemsplit.data.stems import StemFiles
from stemsplit.data.store import SongStore
from stemsplit.errors import InputError
from stemsplit.user_folders import cache_dir

#: Called with the number of files that were measured, and of all files.
Progress: TypeAlias = Callable[[int, int], None]

DEPTH = 8
CHANNELS = 2
CACHE_LIMIT = 20 * 10**9  # bytes of decoded sound
QUIET = -45.0  # dBFS: below it, a voice or an instrument pauses
PER_SECOND = 10  # levels
TRIES = 20  # excerpts to choose from


def find_singing(root: Path) -> list[TrainingSong]:
    """Return the vocals of the songs below ``root``; all audio files if none is called so.

    Raises ``InputError`` if there are none.
    """
    try:
        songs = find_training_songs(root, ("vocals",))
    except InputError:
        songs = []
    usable = [song for song in songs if song.problem is None and "vocals" in song.stems]
    return usable or find_sounds(root, "vocals")


def find_songs(root: Path, sources: Sequence[str]) -> list[TrainingSong]:
    """Return the songs of the data set at ``root`` that may be trained on.

    Songs for validation and test are left out if others are marked for training. Raises
    ``InputError`` if fewer than two are left.
    """
    songs = find_training_songs(root, sources)
    if any(song.split == "train" for song in songs):
        songs = [song for song in songs if song.split in ("train", None)]
    if len(songs) < 2:
        raise InputError("contains only one song; others are needed to combine", path=root)
    return songs


def find_sounds(root: Path, source: str) -> list[TrainingSong]:
    """Return each audio file below ``root`` as a song with one ``source``.

    Raises ``InputError`` if there are none.
    """
    if not root.exists():
        raise InputError("no such file or folder", path=root)
    songs = [
        TrainingSong(
            name=path.relative_to(root).as_posix(),
            split=None,
            stems={source: StemFiles(paths=(path,))},
        )
        for path in _audio_files(root)
    ]
    if not songs:
        raise InputError("contains no audio files", path=root)
    return songs


def _audio_files(root: Path) -> Iterator[Path]:
    for folder, _folders, files in walk_folders(root, DEPTH):
        yield from (folder / name for name in files if has_media_name(name))


def open_store(
    songs: Sequence[TrainingSong],
    sources: Sequence[str],
    sample_rate: int,
    progress: Progress | None = None,
) -> SongStore:
    """Return random access to ``songs``; its warnings say what cannot be read.

    Raises the errors of `SongStore`, and calls ``progress`` as it does.
    """
    return SongStore(
        songs,
        sources,
        sample_rate=sample_rate,
        channels=CHANNELS,
        cache=cache_dir() / "training",
        limit=CACHE_LIMIT,
        progress=progress,
    )


def pick_excerpt(store: SongStore, song: int, source: str, seconds: float, rng: Generator) -> float:
    """Return where (s) an excerpt of ``seconds`` starts in which the source pauses little.

    It is 0 for a shorter song. If possible, it starts just before a sound.
    """
    active = store.levels(song, source) > QUIET
    count = round(seconds * PER_SECOND)
    if active.size <= count:
        return 0.0
    onsets = np.flatnonzero(active[1:] & ~active[:-1])
    onsets = onsets[onsets <= active.size - count]
    starts = rng.integers(0, active.size - count + 1, TRIES)
    if onsets.size:
        starts = np.concatenate([rng.choice(onsets, TRIES), starts])
    shares = [float(active[start : start + count].mean()) for start in starts]
    # The first one that is active for half of the time, or else the best.
    good = next((k for k, share in enumerate(shares) if share >= 0.5), int(np.argmax(shares)))
    return float(starts[good] / PER_SECOND)


def read_excerpt(
    store: SongStore, song: int, source: str, start: float, frames: int
) -> NDArray[np.float32]:
    """Return ``(2, frames)`` of a source from ``start`` seconds on, with short fades."""
    sound = store.read(song, source, round(start * store.sample_rate), frames)
    fade = min(store.sample_rate // 50, frames // 2)
    slope = np.linspace(0, 1, fade, dtype=np.float32)
    sound[:, :fade] *= slope
    sound[:, frames - fade :] *= slope[::-1]
    return sound
