"""The songs of a run: those to train on, and those to validate on. Imports no torch."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stemsplit.data.collections import TrainingSong, find_training_songs
from stemsplit.data.store import SongStore
from stemsplit.errors import InputError, UsageError
from stemsplit.training.recipe import DataSettings

GIGABYTE = 10**9


@dataclass(frozen=True, slots=True)
class Songs:
    """A store, the numbers of its songs to ``train`` and to ``validate`` on, and ``warnings``."""

    store: SongStore
    train: tuple[int, ...]
    validate: tuple[int, ...]
    warnings: tuple[str, ...]


def find_songs(
    roots: Sequence[Path],
    sources: Sequence[str],
    background: Sequence[str],
    mapping: Mapping[str, Sequence[str]],
) -> list[TrainingSong]:
    """Return the songs in the folders ``roots``; several folders may have songs of equal names.

    Raises ``UsageError`` for fewer than two sources in the mixtures, and ``InputError`` for a
    folder without songs.
    """
    wanted = (*sources, *background)
    if len(wanted) < 2:
        raise UsageError(
            f"a mixture of {wanted[0]} alone has nothing to separate",
            hint='add other sources, or data.background = ["other"] for those to leave out',
        )
    found = []
    for number, root in enumerate(roots, 1):
        for song in find_training_songs(root, wanted, mapping):
            name = f"{number}/{song.name}" if len(roots) > 1 else song.name
            found.append(dataclasses.replace(song, name=name))
    for source in wanted:
        if not any(source in song.stems for song in found):
            raise InputError(
                f"none of {len(found)} songs has the source {source}",
                path=roots[0],
                hint=f"name its files, as in --map '{source}={source[:3]}*.wav'",
            )
    return found


def open_songs(
    songs: Sequence[TrainingSong],
    sources: Sequence[str],
    data: DataSettings,
    *,
    sample_rate: int,
    channels: int,
    cache: Path,
) -> Songs:
    """Return the readable ``songs`` that are not for testing, divided for validation."""
    store = SongStore(
        [song for song in songs if song.split != "test"],
        (*sources, *data.background),
        sample_rate=sample_rate,
        channels=channels,
        cache=cache,
        limit=round(data.cache * GIGABYTE),
    )
    if not store.songs:
        raise InputError("no song can be read: " + (store.warnings or ["all are for testing"])[0])
    warnings = list(store.warnings)
    validate = _held_out(store.songs, data.valid)
    train = tuple(n for n in range(len(store.songs)) if n not in validate)
    if not train or not validate:
        warnings.append("validation uses the songs to train on: there are no others")
        train = validate = tuple(range(len(store.songs)))
    return Songs(store, train, validate, tuple(warnings))


def _held_out(songs: Sequence[TrainingSong], share: float) -> tuple[int, ...]:
    """Return the numbers of the songs to validate on: those that the data set names, or a share.

    The share is chosen by names, so that further songs do not change sides.
    """
    named = tuple(number for number, song in enumerate(songs) if song.split == "valid")
    if named or not share or len(songs) < 2:
        return named
    places = sorted((_place(song.name), number) for number, song in enumerate(songs))
    chosen = [number for place, number in places if place < share] or [places[0][1]]
    return tuple(sorted(chosen[: len(songs) - 1]))


def _place(name: str) -> float:
    """Return a number from 0 to 1 that depends on ``name`` alone."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64
