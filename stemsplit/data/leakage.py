"""Guards against songs that are in the training data as well as in that for validation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from stemsplit.data.file_names import normalise
from stemsplit.data.fingerprint import HOP, Landmarks, find_matches
from stemsplit.data.store import SongStore
from stemsplit.errors import UsageError

#: How many pairs of songs an error message names.
NAMED = 3


@dataclass(frozen=True, slots=True)
class SameSong:
    """Two songs that have the same sound, by their indices."""

    first: int
    second: int


def find_same_songs(songs: Sequence[tuple[str, dict[str, list[Landmarks]]]]) -> list[SameSong]:
    """Return the pairs of ``songs``, each a name and its fingerprints by source, that are the same.

    Songs have the same sound if at least half of the sources that sound in both match, all with the
    same delay: songs may share a loop of drums.
    """
    owners: list[tuple[int, str]] = []
    recordings: list[Landmarks] = []
    for number, (_, sources) in enumerate(songs):
        for source, files in sources.items():
            owners += [(number, source)] * len(files)
            recordings += files
    matches: dict[tuple[int, int], list[tuple[str, float]]] = defaultdict(list)
    for match in find_matches(recordings):
        (first, source), (second, other) = owners[match.first], owners[match.second]
        if first != second and source == other:
            matches[first, second].append((source, match.delay))
    sounding = [
        {source for source, files in sources.items() if any(len(each.values) for each in files)}
        for _, sources in songs
    ]
    return [
        SameSong(first, second)
        for (first, second), found in sorted(matches.items())
        if 2 * _agreeing(found) >= len(sounding[first] & sounding[second])
    ]


def _agreeing(found: Sequence[tuple[str, float]]) -> int:
    """Return how many sources match with one delay, within four frames of the fingerprint."""
    return max(
        len({source for source, delay in found if abs(delay - wanted) <= 4 * HOP})
        for _, wanted in found
    )


def find_leaks(train: SongStore, valid: SongStore) -> list[tuple[str, str, str]]:
    """Return the songs in both data sets: their names in each, and "name" or "sound".

    Names count if they consist of artist and title, as in MUSDB18.
    """
    leaks: dict[tuple[str, str], str] = {}
    by_name: dict[str, list[str]] = defaultdict(list)
    for song in train.songs:
        if title := _title(song.name):
            by_name[title].append(song.name)
    for song in valid.songs:
        leaks |= {(name, song.name): "name" for name in by_name[_title(song.name)]}
    stores = ((train, number) for number in range(len(train.songs)))
    others = ((valid, number) for number in range(len(valid.songs)))
    songs = [
        (store.songs[number].name, store.landmarks(number)) for store, number in (*stores, *others)
    ]
    border = len(train.songs)
    for same in find_same_songs(songs):
        if same.first < border <= same.second:
            leaks.setdefault((songs[same.first][0], songs[same.second][0]), "sound")
    return [(first, second, reason) for (first, second), reason in leaks.items()]


def refuse_leaks(train: SongStore, valid: SongStore) -> None:
    """Raise ``UsageError`` if a song of ``valid`` is in ``train``, by name or by sound."""
    leaks = find_leaks(train, valid)
    if leaks:
        pairs = [
            f"{first} (train) and {second} (validation) have the same {reason}"
            for first, second, reason in leaks[:NAMED]
        ]
        more = f"; {len(leaks)} in all" if len(leaks) > NAMED else ""
        raise UsageError(
            f"the same song is in the training and the validation data: {'; '.join(pairs)}{more}",
            hint="remove it from one of them: scores of songs in the training data mean nothing",
        )


def _title(name: str) -> str:
    """Return artist and title of the song ``name``; empty if it does not have both.

    Different songs may be called track01 in two data sets.
    """
    last = name.rpartition("/")[2]
    return normalise(last) if " - " in last else ""
