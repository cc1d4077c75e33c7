"""The songs of a run: those to train on, and those to validate on. Imports no torch."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stemsplit.data.collections import TrainingSong, find_training_songs
from stemsplit.data.leakage import refuse_leaks
from stemsplit.data.store import SongStore
from stemsplit.errors import InputError, UsageError
from stemsplit.training.recipe import DataSettings

GIGABYTE = 10**9


@dataclass(frozen=True, slots=True)
class Songs:
    """The sound of the songs to ``train`` and to ``validate`` on, and ``warnings`` about them."""

    train: SongStore
    validate: SongStore
    warnings: tuple[str, ...]

    @property
    def digest(self) -> str:
        """A SHA-256, in hex, of all songs and of which are for what."""
        both = f"{self.train.digest} {self.validate.digest}"
        return hashlib.sha256(both.encode()).hexdigest()


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
    """Return the readable ``songs`` that are not for testing, divided for validation.

    Raises ``InputError`` if none can be read, and ``UsageError`` if a song is on both sides.
    """

    def store(chosen: Sequence[TrainingSong]) -> SongStore:
        return SongStore(
            chosen,
            (*sources, *data.background),
            sample_rate=sample_rate,
            channels=channels,
            cache=cache,
            limit=round(data.cache * GIGABYTE),
        )

    usable = [song for song in songs if song.split != "test"]
    if not usable:
        raise InputError("all songs are for testing")
    held_out = _held_out(usable, data.valid)
    rest = [song for song in usable if song not in held_out]
    if not held_out or not rest:
        train = store(usable)
        warning = "validation uses the songs to train on: there are no others"
        return Songs(train, train, (*train.warnings, warning))
    train, validate = store(rest), store(held_out)
    refuse_leaks(train, validate)
    return Songs(train, validate, (*train.warnings, *validate.warnings))


def _held_out(songs: Sequence[TrainingSong], share: float) -> list[TrainingSong]:
    """Return the songs to validate on: those that the data set names, or a share.

    The share is chosen by names, so that further songs do not change sides.
    """
    named = [song for song in songs if song.split == "valid"]
    if named or not share or len(songs) < 2:
        return named
    places = sorted(songs, key=lambda song: _place(song.name))
    count = sum(_place(song.name) < share for song in songs)
    return places[: min(max(count, 1), len(songs) - 1)]


def _place(name: str) -> float:
    """Return a number from 0 to 1 that depends on ``name`` alone."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64
