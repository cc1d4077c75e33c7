"""MedleyDB 1 and 2: songs with metadata in YAML, which names the instrument of each stem.

Source: medleydb/multitrack.py and medleydb/resources/taxonomy.yaml of marl/medleydb. The metadata
is beside the stems, or in a folder ``Metadata`` further up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from stemsplit.data.collections.grouping import Recording, group
from stemsplit.data.collections.song import TrainingSong, identify, walk_folders
from stemsplit.data.file_names import normalise
from stemsplit.data.stems import StemFiles
from stemsplit.errors import UsageError
from stemsplit.plain_yaml import read_yaml

STEMS, MIX, METADATA = "_STEMS", "_MIX.wav", "_METADATA.yaml"
METADATA_FOLDERS = ("Metadata", "metadata", "METADATA")
DEPTH = 3
#: A stem with everything that the microphones for the audience recorded.
MIXED = "main_system"
#: More general names of instruments: first that of their family, where the drums of a band, as in
#: MUSDB18, include percussion.
_PERCUSSION = (
    "triangle sleigh_bells cowbell cabasa gong guiro gu chimes castanet claps rattle shaker "
    "maracas bongo conga tambourine darbuka doumbek tabla auxiliary_percussion timpani"
)
_KIT = "drum_set drum_machine kick_drum snare_drum toms bass_drum high_hat cymbal"
_VOICES = (
    "male_singer female_singer male_speaker female_speaker male_rapper female_rapper beatboxing "
    "vocalists"
)
_GUITARS = (
    "acoustic_guitar slide_guitar clean_electric_guitar distorted_electric_guitar lap_steel_guitar"
)
_STRINGS = "violin viola cello violin_section viola_section cello_section string_section erhu"
_BRASS = (
    "trumpet cornet trombone french_horn euphonium tuba brass_section french_horn_section "
    "trombone_section horn_section trumpet_section"
)
_WOODWINDS = (
    "dizi flute flute_section piccolo bamboo_flute panpipes recorder alto_saxophone "
    "baritone_saxophone bass_clarinet clarinet clarinet_section tenor_saxophone soprano_saxophone "
    "oboe english_horn bassoon bagpipe"
)
GENERAL: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(_VOICES.split(), ("vocals",)),
    **dict.fromkeys(_KIT.split(), ("drums",)),
    **dict.fromkeys(_PERCUSSION.split(), ("percussion", "drums")),
    **dict.fromkeys(("electric_bass", "double_bass"), ("bass",)),
    **dict.fromkeys(_GUITARS.split(), ("guitar",)),
    **dict.fromkeys(("piano", "tack_piano", "electric_piano"), ("piano", "keys", "keyboards")),
    **dict.fromkeys(("electronic_organ", "pipe_organ"), ("organ", "keys", "keyboards")),
    "synthesizer": ("synth", "synths"),
    **dict.fromkeys(_STRINGS.split(), ("strings",)),
    **dict.fromkeys(_BRASS.split(), ("brass", "winds")),
    **dict.fromkeys(_WOODWINDS.split(), ("woodwinds", "winds")),
}


def recognises(root: Path) -> bool:
    """Return whether ``root`` contains a song ``SONG`` with a folder ``SONG_STEMS``."""
    return next(_folders(root), None) is not None


def find(
    root: Path, sources: Sequence[str], mapping: Mapping[str, Sequence[str]]
) -> list[TrainingSong]:
    """Return the songs; ``mapping`` maps sources to patterns of instruments."""
    return [_song(root, folder, sources, mapping) for folder in _folders(root)]


def _folders(root: Path) -> Iterator[Path]:
    for folder, folders, _files in walk_folders(root, DEPTH):
        if f"{folder.resolve().name}{STEMS}" in folders:
            folders.clear()
            yield folder


def _song(
    root: Path, folder: Path, sources: Sequence[str], mapping: Mapping[str, Sequence[str]]
) -> TrainingSong:
    name, split = identify(root, folder)

    def unusable(problem: str) -> TrainingSong:
        return TrainingSong(name=name, split=split, problem=problem)

    title = folder.resolve().name
    metadata = _metadata_of(folder, title, root)
    if metadata is None:
        return unusable(f"has no {title}{METADATA}, which names the instruments")
    try:
        values: Any = read_yaml(metadata)
        recordings = _read_stems(folder / f"{title}{STEMS}", values)
        bleed = values.get("has_bleed") in ("yes", True)
    except UsageError as exc:
        return unusable(f"{metadata.name}: {exc.reason}")
    except (KeyError, TypeError, AttributeError):
        return unusable(f"{metadata.name}: not the metadata of a song of MedleyDB")
    missing = [each.path.name for each in recordings if not each.path.is_file()]
    if missing:
        return unusable(f"no such file: {missing[0]}")
    if any(MIXED in each.labels for each in recordings):
        return unusable("has a stem with several instruments (Main System)")
    stems = group(recordings, sources, mapping)
    if not stems:
        return unusable(f"has none of the stems {', '.join(sources)}")
    mix = folder / f"{title}{MIX}"
    return TrainingSong(
        name=name,
        split=split,
        stems=stems,
        mixture=StemFiles(paths=(mix,)) if mix.is_file() else None,
        remarks=("recorded with bleed",) if bleed else (),
    )


def _metadata_of(folder: Path, title: str, root: Path) -> Path | None:
    """Return the metadata of the song in ``folder``, looking no further up than beside ``root``."""
    name = f"{title}{METADATA}"
    places = [folder]
    for parent in (folder, *folder.parents):
        places += [parent / each for each in METADATA_FOLDERS]
        if parent == root:
            places += [root.parent / each for each in METADATA_FOLDERS]
            break
    return next((place / name for place in places if (place / name).is_file()), None)


def _read_stems(folder: Path, metadata: Any) -> list[Recording]:
    recordings = []
    for stem in metadata["stems"].values():
        instrument = normalise(stem["instrument"])
        labels = (instrument, *GENERAL.get(instrument, ()))
        recordings.append(Recording(path=folder / stem["filename"], labels=labels))
    return recordings
