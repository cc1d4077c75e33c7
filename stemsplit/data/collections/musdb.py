"""MUSDB18: songs as files with five streams, and the names of its validation songs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from stemsplit.data.collections.grouping import Recording, group
from stemsplit.data.collections.song import TrainingSong, split_of, walk_folders
from stemsplit.data.file_names import MIXTURE
from stemsplit.data.layouts import STEM_FILE
from stemsplit.data.stems import MUSDB_STREAMS, StemFiles

DEPTH = 3
#: The songs of ``train`` that are for validation: ``validation_tracks`` of musdb/configs/mus.yaml
#: in sigsep/sigsep-mus-db (commit 5e90f0f).
VALIDATION = frozenset(
    (
        "Actions - One Minute Smile",
        "Clara Berry And Wooldog - Waltz For My Victims",
        "Johnny Lokke - Promises & Lies",
        "Patrick Talbot - A Reason To Leave",
        "Triviul - Angelsaint",
        "Alexander Ross - Goodbye Bolero",
        "Fergessen - Nos Palpitants",
        "Leaf - Summerghost",
        "Skelpolu - Human Mistakes",
        "Young Griffo - Pennies",
        "ANiMAL - Rockshow",
        "James May - On The Line",
        "Meaxic - Take A Step",
        "Traffic Experiment - Sirens",
    )
)


def musdb_split(root: Path, relative: PurePosixPath) -> str | None:
    """Return the part that a song belongs to: the official one for the songs of MUSDB18."""
    split = split_of(root, relative)
    return "valid" if split == "train" and relative.name in VALIDATION else split


def recognises(root: Path) -> bool:
    """Return whether ``root`` contains files with the stems as their streams."""
    return next(_files(root), None) is not None


def find(
    root: Path, sources: Sequence[str], mapping: Mapping[str, Sequence[str]]
) -> list[TrainingSong]:
    """Return the songs; their files are not opened."""
    songs = []
    for path in _files(root):
        relative = PurePosixPath(path.relative_to(root).as_posix()[: -len(STEM_FILE)])
        recordings = [
            Recording(path=path, stream=stream, labels=(name,))
            for stream, name in enumerate(MUSDB_STREAMS)
            if name != MIXTURE
        ]
        song = TrainingSong(
            name=str(relative),
            split=musdb_split(root, relative),
            stems=group(recordings, sources, mapping),
            mixture=StemFiles(paths=(path,), streams=(MUSDB_STREAMS.index(MIXTURE),)),
        )
        songs.append(song)
    return songs


def _files(root: Path) -> Iterator[Path]:
    for folder, _folders, files in walk_folders(root, DEPTH):
        yield from (folder / name for name in files if name.lower().endswith(STEM_FILE))
