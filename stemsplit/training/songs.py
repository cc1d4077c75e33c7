"""The songs of a run: those to train on, and those to validate on. Imports no torch."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
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
    """The sound of the songs to ``train`` and to ``validate`` on, and ``warnings`` about them.

    ``left_out`` is how many songs cannot be read.
    """

    train: SongStore
    validate: SongStore
    warnings: tuple[str, ...]
    left_out: int

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
    progress: Callable[[int, int], None] | None = None,
) -> Songs:
    """Return the readable ``songs`` that are not for testing, divided for validation.

    ``progress`` is called with the number of files that are ready, and of all files.

    Raises ``InputError`` if none can be read, and ``UsageError`` if a song is on both sides.
    """

    def store(
        chosen: Sequence[TrainingSong], show: Callable[[int, int], None] | None = None
    ) -> SongStore:
        return SongStore(
            chosen,
            (*sources, *data.background),
            sample_rate=sample_rate,
            channels=channels,
            cache=cache,
            limit=round(data.cache * GIGABYTE),
            progress=show,
        )

    usable = [song for song in songs if song.split != "test"]
    if not usable:
        raise InputError("all songs are for testing")
    # Opened together first: a song that cannot be read is not one of few to validate on.
    readable = store(usable, progress)
    left_out = len(usable) - len(readable.songs)
    held_out = _held_out(readable.songs, data.valid)
    rest = [song for song in readable.songs if song not in held_out]
    if not held_out or not rest:
        warning = "validation uses the songs to train on: there are no others"
        return Songs(readable, readable, (*readable.warnings, warning), left_out)
    train, validate = store(rest), store(held_out)
    refuse_leaks(train, validate)
    return Songs(train, validate, tuple(readable.warnings), left_out)


def _held_out(songs: Sequence[TrainingSong], share: float) -> list[TrainingSong]:
    """Return the songs to validate on: those that the data set names, or a share.

    The share is chosen by names, so that further songs do not change sides. A song that alone has
    one of the sources is never among it.
    """
    named = [song for song in songs if song.split == "valid"]
    if named or not share:
        return named
    count = max(sum(_place(song.name) < share for song in songs), 1)
    left = Counter(source for song in songs for source in song.stems)
    held_out: list[TrainingSong] = []
    for song in sorted(songs, key=lambda song: _place(song.name)):
        if len(held_out) < count and all(left[source] > 1 for source in song.stems):
            held_out.append(song)
            left.subtract(list(song.stems))
    return held_out


def _place(name: str) -> float:
    """Return a number from 0 to 1 that depends on ``name`` alone."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64
