"""A folder for each stem, whose files are of different songs.

This is type 2 of the community's trainer (docs/dataset_types.md of
ZFTurbo/Music-Source-Separation-Training), and what Open-Unmix calls a source folder. Each file is
a song of its own with one stem.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from stemsplit.audio.detect import has_media_name
from stemsplit.data.collections.song import TrainingSong, split_of, walk_folders
from stemsplit.data.file_names import MIXTURES, STEMS, normalise
from stemsplit.data.stems import StemFiles

#: The folders may be in a folder of the part of the data set.
DEPTH = 2


def recognises(root: Path) -> bool:
    """Return whether ``root`` has folders named after stems, and no folder with several stems."""
    found = False
    for folder, _folders, files in walk_folders(root, DEPTH):
        names = {normalise(Path(name).stem) for name in files if has_media_name(name)}
        if names & {*STEMS, *MIXTURES} - {normalise(folder.name)}:
            return False  # a song, perhaps one that is called "Other"
        found = found or bool(names and folder != root and normalise(folder.name) in STEMS)
    return found


def find(
    root: Path, sources: Sequence[str], mapping: Mapping[str, Sequence[str]]
) -> list[TrainingSong]:
    """Return a song for each file; ``mapping`` maps stems to patterns of folder names."""
    return [
        TrainingSong(
            name=path.relative_to(root).with_suffix("").as_posix(),
            split=split_of(root, PurePosixPath(path.relative_to(root).as_posix())),
            stems={source: StemFiles(paths=(path,))},
        )
        for path, source in _files(root, sources, mapping)
    ]


def _files(
    root: Path, sources: Sequence[str], mapping: Mapping[str, Sequence[str]]
) -> Iterator[tuple[Path, str]]:
    by_name = {normalise(source): source for source in sources}
    for folder, _folders, files in walk_folders(root, DEPTH):
        mapped = (
            stem
            for stem, patterns in mapping.items()
            if any(fnmatchcase(folder.name.lower(), pattern.lower()) for pattern in patterns)
        )
        source = by_name.get(normalise(next(mapped, folder.name)))
        if source is not None:
            yield from ((folder / name, source) for name in files if has_media_name(name))
