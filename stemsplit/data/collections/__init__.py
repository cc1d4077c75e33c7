"""Which songs are in a data set: a folder per song with a WAV file for each source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stemsplit.data.stems import StemFiles
from stemsplit.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSong:
    """A song with the files of its sources; ``split`` is "train", "valid", "test" or unknown."""

    name: str
    split: str | None
    stems: Mapping[str, StemFiles]
    mixture: StemFiles | None


def find_training_songs(
    root: Path, sources: Sequence[str], mapping: Mapping[str, Sequence[str]] | None = None
) -> list[TrainingSong]:
    """Return the songs below ``root``; raises ``InputError`` if there are none."""
    songs = []
    for folder in sorted(path for path in root.rglob("*") if path.is_dir()):
        stems = {
            source: StemFiles(paths=tuple(sorted(folder.glob(f"{source}.*")))) for source in sources
        }
        found = {source: files for source, files in stems.items() if files.paths}
        if found:
            name = folder.relative_to(root).as_posix()
            split = name.split("/")[0] if name.startswith(("train/", "valid/", "test/")) else None
            songs.append(TrainingSong(name=name, split=split, stems=found, mixture=None))
    if not songs:
        raise InputError(f"has none of the stems {', '.join(sources)}", path=root)
    return songs
