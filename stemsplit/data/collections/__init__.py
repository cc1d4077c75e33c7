"""Data sets to train on: which songs they contain, in the layouts in which they are published."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from stemsplit.data.collections import (
    csv_list,
    dsd100,
    folders,
    medleydb,
    moisesdb,
    musdb,
    slakh,
    stem_folders,
)
from stemsplit.data.collections.song import TrainingSong
from stemsplit.data.file_names import ENDINGS, STEMS, normalise
from stemsplit.errors import InputError, UsageError

__all__ = ["LAYOUTS", "Layout", "TrainingSong", "find_training_songs", "recognise"]

Find: TypeAlias = Callable[[Path, Sequence[str], Mapping[str, Sequence[str]]], list[TrainingSong]]


@dataclass(frozen=True, slots=True)
class Layout:
    """A layout: its name, whether a path has it, and what finds the songs there."""

    name: str
    recognises: Callable[[Path], bool]
    find: Find


#: The first layout that recognises a data set is used.
LAYOUTS = (
    Layout("list of stems (CSV)", csv_list.recognises, csv_list.find),
    Layout("DSD100", dsd100.recognises, dsd100.find),
    Layout("Slakh2100", slakh.recognises, slakh.find),
    Layout("MedleyDB", medleydb.recognises, medleydb.find),
    Layout("MoisesDB", moisesdb.recognises, moisesdb.find),
    Layout("MUSDB18", musdb.recognises, musdb.find),
    Layout("folder for each stem", stem_folders.recognises, stem_folders.find),
    Layout("folder for each song", folders.recognises, folders.find),
)


def recognise(root: Path) -> Layout:
    """Return the layout of the data set at ``root``.

    Raises ``InputError`` if there is nothing, or it cannot be read.
    """
    if not root.exists():
        raise InputError("no such file or folder", path=root)
    return next(layout for layout in LAYOUTS if layout.recognises(root))


def find_training_songs(
    root: Path, sources: Sequence[str], mapping: Mapping[str, Sequence[str]] = {}
) -> list[TrainingSong]:
    """Return the songs of the data set at ``root``, by name, with the files of each of ``sources``.

    ``mapping`` assigns files, or what the layout calls their instruments, to stems: patterns by
    stem. Songs that cannot be used are included, with their ``problem``. No audio is decoded.

    Raises ``InputError`` if ``root`` is missing, unreadable or contains no songs, and
    ``UsageError`` for a mapping of an unknown stem, or to nothing.
    """
    _refuse_unknown(mapping, sources)
    songs = recognise(root).find(root, sources, mapping)
    if not songs:
        hint = "map files to stems: --map vocals=PATTERN"
        raise InputError(f"contains none of the stems {', '.join(sources)}", path=root, hint=hint)
    _refuse_unmatched(mapping, sources, songs)
    return sorted(songs, key=lambda song: song.name)


def _refuse_unknown(mapping: Mapping[str, Sequence[str]], sources: Sequence[str]) -> None:
    known = {normalise(name) for name in (*sources, *STEMS, *ENDINGS)}
    for name in mapping:
        if normalise(name) not in known:
            raise UsageError(
                f"files are mapped to the unknown stem {name!r}",
                hint=f"stems of this data set: {', '.join(sources)}",
            )


def _refuse_unmatched(
    mapping: Mapping[str, Sequence[str]], sources: Sequence[str], songs: Sequence[TrainingSong]
) -> None:
    found = {normalise(source) for song in songs for source in song.stems}
    for stem, patterns in mapping.items():
        if normalise(stem) in {normalise(source) for source in sources} - found:
            listed = ", ".join(map(repr, patterns))
            raise UsageError(f"nothing in any song matches {listed}, mapped to {stem}")
