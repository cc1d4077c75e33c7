"""Slakh2100: songs rendered from MIDI, with ``metadata.yaml``, which names the instruments.

Source: README.md and midi_inst_values of ethman/slakh-utils. The songs in ``omitted`` occur twice
in the original split; they are left out, as the data set's authors advise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from stemsplit.audio.detect import has_media_name
from stemsplit.data.collections.grouping import Recording, group
from stemsplit.data.collections.song import TrainingSong, identify, walk_folders
from stemsplit.data.file_names import MIXTURES, normalise
from stemsplit.data.stems import StemFiles
from stemsplit.errors import UsageError
from stemsplit.plain_yaml import read_yaml

METADATA, FOLDER, OMITTED = "metadata.yaml", "stems", "omitted"
DEPTH = 3
DRUMS = "drums"
#: More general names of classes of instruments (``inst_class``), besides their own.
GENERAL = {
    "strings_continued": ("strings",),
    "reed": ("winds", "woodwinds"),
    "pipe": ("winds", "woodwinds"),
    "brass": ("winds",),
    "synth_lead": ("synth",),
    "synth_pad": ("synth",),
    "chromatic_percussion": ("percussion",),
    "percussive": ("percussion",),
}


def recognises(root: Path) -> bool:
    """Return whether a folder below ``root`` has the metadata of a song, and a folder of stems."""
    return next(_folders(root), None) is not None


def find(
    root: Path, sources: Sequence[str], mapping: Mapping[str, Sequence[str]]
) -> list[TrainingSong]:
    """Return the songs; ``mapping`` maps sources to patterns of classes and programs."""
    return [_song(root, folder, sources, mapping) for folder in _folders(root)]


def _folders(root: Path) -> Iterator[Path]:
    for folder, folders, files in walk_folders(root, DEPTH):
        folders[:] = [name for name in folders if name.lower() != OMITTED]
        if METADATA in files and FOLDER in folders:
            folders.clear()
            yield folder


def _song(
    root: Path, folder: Path, sources: Sequence[str], mapping: Mapping[str, Sequence[str]]
) -> TrainingSong:
    name, split = identify(root, folder)
    try:
        recordings = _read_stems(folder, read_yaml(folder / METADATA))
    except UsageError as exc:
        return TrainingSong(name=name, split=split, problem=f"{METADATA}: {exc.reason}")
    except (KeyError, TypeError, AttributeError):
        reason = "not the metadata of a song of Slakh2100"
        return TrainingSong(name=name, split=split, problem=f"{METADATA}: {reason}")
    stems = group(recordings, sources, mapping)
    problem = None if stems else f"has none of the stems {', '.join(sources)}"
    return TrainingSong(
        name=name, split=split, stems=stems, mixture=_mixture(folder), problem=problem
    )


def _mixture(folder: Path) -> StemFiles | None:
    paths = (each for name in MIXTURES for each in sorted(folder.glob(f"{name}.*")))
    return next((StemFiles(paths=(path,)) for path in paths if has_media_name(path.name)), None)


def _read_stems(folder: Path, metadata: Any) -> list[Recording]:
    """Return the recordings that exist; instruments that were not rendered have no file."""
    recordings = []
    for name, stem in metadata["stems"].items():
        kind = normalise(stem["inst_class"])
        labels = (normalise(stem["midi_program_name"]), kind, *GENERAL.get(kind, ()))
        labels = (DRUMS,) if stem.get("is_drum") or kind == DRUMS else labels
        paths = sorted((folder / FOLDER).glob(f"{name}.*"))
        path = next((path for path in paths if has_media_name(path.name)), None)
        if path is not None:
            recordings.append(Recording(path=path, labels=labels))
    return recordings
