"""DSD100: the mixtures in one folder, the stems in another, each split into Dev and Test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from stemsplit.data.collections.folders import read_folder
from stemsplit.data.collections.song import TrainingSong, split_of
from stemsplit.data.file_names import MIXTURE
from stemsplit.data.layouts import find_songs
from stemsplit.data.stems import StemFiles

STEMS, MIXTURES = "Sources", "Mixtures"


def recognises(root: Path) -> bool:
    """Return whether ``root`` has a folder of mixtures and one of stems."""
    return (root / STEMS).is_dir() and (root / MIXTURES).is_dir()


def find(
    root: Path, sources: Sequence[str], mapping: Mapping[str, Sequence[str]]
) -> list[TrainingSong]:
    """Return the songs, named ``Dev/051 - Artist - Title``. Raises as `find_songs` does."""
    songs = []
    for song in find_songs(root / STEMS):
        mixture = next((root / MIXTURES / song.name).glob(f"{MIXTURE}.*"), None)
        found = read_folder(
            song.path,
            name=song.name,
            split=split_of(root, PurePosixPath(song.name)),
            sources=sources,
            mapping=mapping,
            mixture=None if mixture is None else StemFiles(paths=(mixture,)),
        )
        songs.append(found)
    return songs
