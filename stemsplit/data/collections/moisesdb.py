"""MoisesDB: songs with ``data.json``, which lists recordings by stem and kind of track.

Source: moisesdb/track.py and moisesdb/defaults.py of moises-ai/moises-db. Its four stems are
``vocals``, ``drums``, ``bass``, and everything else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from stemsplit.data.collections.grouping import Recording, group
from stemsplit.data.collections.song import TrainingSong, identify, walk_folders
from stemsplit.data.file_names import normalise
from stemsplit.small_files import parse_json, read_small

METADATA = "data.json"
DEPTH = 3


def recognises(root: Path) -> bool:
    """Return whether a folder below ``root`` has the metadata of a song, and folders of stems."""
    return next(_folders(root), None) is not None


def find(
    root: Path, sources: Sequence[str], mapping: Mapping[str, Sequence[str]]
) -> list[TrainingSong]:
    """Return the songs, named by their folders. There are no mixtures: they are the sums."""
    return [_song(root, folder, sources, mapping) for folder in _folders(root)]


def _folders(root: Path) -> Iterator[Path]:
    for folder, folders, files in walk_folders(root, DEPTH):
        if METADATA in files and folders:
            folders.clear()
            yield folder


def _song(
    root: Path, folder: Path, sources: Sequence[str], mapping: Mapping[str, Sequence[str]]
) -> TrainingSong:
    name, split = identify(root, folder)
    try:
        metadata = parse_json(read_small(folder / METADATA))
        recordings, bleeding = _read_stems(folder, metadata)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
        reason = getattr(exc, "strerror", None) or "not the metadata of a song of MoisesDB"
        return TrainingSong(name=name, split=split, problem=f"{METADATA}: {reason}")
    missing = [each.path for each in recordings if not each.path.is_file()]
    if missing:
        path = missing[0].relative_to(folder)
        return TrainingSong(name=name, split=split, problem=f"no such file: {path}")
    stems = group(recordings, sources, mapping)
    remarks = (f"recorded with bleed: {', '.join(bleeding)}",) if bleeding else ()
    problem = None if stems else f"has none of the stems {', '.join(sources)}"
    return TrainingSong(name=name, split=split, stems=stems, remarks=remarks, problem=problem)


def _read_stems(folder: Path, metadata: Any) -> tuple[list[Recording], list[str]]:
    """Return the recordings, and the names of stems with bleed."""
    recordings, bleeding = [], []
    for stem in metadata["stems"]:
        for track in stem["tracks"]:
            path = folder / stem["stemName"] / f"{track['id']}.{track['extension']}"
            labels = (normalise(track["trackType"]), normalise(stem["stemName"]))
            recordings.append(Recording(path=path, labels=labels))
            if track.get("has_bleed"):
                bleeding.append(stem["stemName"])
    return recordings, list(dict.fromkeys(bleeding))
