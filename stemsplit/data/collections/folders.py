"""A folder for each song with a file for each stem, and more.

These are MUSDB18-HQ and the types 1, 4, 5, 6 and 7 of the community's trainer, which differ in how
they are used (docs/dataset_types.md of ZFTurbo/Music-Source-Separation-Training, 2026), and any
other files whose names tell the stem or are mapped to one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from stemsplit.data.collections.musdb import musdb_split
from stemsplit.data.collections.song import TrainingSong
from stemsplit.data.layouts import find_songs
from stemsplit.data.stems import UNRECOGNISED, StemFiles, find_stems
from stemsplit.errors import InputError, UsageError


def recognises(root: Path) -> bool:
    """Return True: whatever no other layout recognises is tried."""
    return True


def find(
    root: Path, sources: Sequence[str], mapping: Mapping[str, Sequence[str]]
) -> list[TrainingSong]:
    """Return the songs. Raises ``InputError`` as `find_songs` does, ``UsageError`` for a pattern
    of ``mapping`` that no file of any song matches.
    """
    songs = find_songs(root)
    _refuse_unmatched(mapping, [song.path for song in songs])
    return [
        read_folder(
            song.path,
            name=song.name,
            split=musdb_split(root, PurePosixPath(song.name)),
            sources=sources,
            mapping=mapping,
        )
        for song in songs
    ]


def read_folder(
    folder: Path,
    *,
    name: str,
    split: str | None,
    sources: Sequence[str],
    mapping: Mapping[str, Sequence[str]],
    mixture: StemFiles | None = None,
) -> TrainingSong:
    """Return the song in ``folder``; its mixture is ``mixture`` unless the folder contains one."""
    here = {
        stem: matching
        for stem, patterns in mapping.items()
        if (matching := [each for each in patterns if _matches(folder, each)])
    }
    try:
        found = find_stems(folder, sources, sources=sources, mapping=here)
    except InputError as exc:
        return TrainingSong(name=name, split=split, problem=exc.reason)
    return TrainingSong(
        name=name,
        split=split,
        stems=found.stems,
        mixture=found.mixture or mixture,
        remarks=tuple(each for each in found.remarks if UNRECOGNISED in each),
    )


def _matches(folder: Path, pattern: str) -> bool:
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else [folder.name]
    return any(fnmatchcase(name.lower(), pattern.lower()) for name in names)


def _refuse_unmatched(mapping: Mapping[str, Sequence[str]], folders: Sequence[Path]) -> None:
    for stem, patterns in mapping.items():
        for pattern in patterns:
            if not any(_matches(folder, pattern) for folder in folders):
                raise UsageError(f"no file of any song matches {pattern!r}, mapped to {stem}")
