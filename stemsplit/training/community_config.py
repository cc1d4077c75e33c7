"""Augmentation in the YAML files of the community's trainer, Music-Source-Separation-Training.

Described in its docs/augmentations.md; ``community_recipe.py`` reads the rest of such a file.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stemsplit.checkpoints.msst_config import Section
from stemsplit.errors import UsageError
from stemsplit.training.augment.table import OF_SOURCES

#: The trainer's augmentations of a source, in the order in which it applies them. They have the
#: same names here, and their settings the same keys after the name: ``pitch_shift_min_semitones``.
OF_A_SOURCE = (
    *("channel_shuffle", "random_inverse", "random_polarity", "pitch_shift"),
    *("seven_band_parametric_eq", "tanh_distortion", "mp3_compression", "gaussian_noise"),
    "time_stretch",
)
#: Effects of a library under the GPL, which this program (MIT) does not use.
PEDALBOARD = (
    *("reverb", "chorus", "phazer", "distortion", "pitch_shift", "resample", "bitcrash"),
    "mp3_compressor",
)
#: The section of what holds for every stem.
ALL = "all"
#: Settings of ours that the trainer does not have.
NOT_IN_YAML = ("material", "p", "stems", "per")


@dataclass(frozen=True, slots=True)
class CommunityAugmentations:
    """Tables ``[[augment]]``, and the names of the effects that are left out of them."""

    tables: list[dict[str, Any]]
    left_out: list[str]


def settings_from_community(
    config: Mapping[str, Any], path: Path | None = None
) -> list[dict[str, Any]]:
    """Return the tables ``[[augment]]`` that do what the trainer does with ``config``.

    ``config`` is a whole YAML file, of which ``augmentations`` and the instruments are read;
    ``path`` is named in errors. Effects of pedalboard are left out; `read_augmentations` lists
    them. Raises ``UsageError`` for unknown keys and values of a wrong type.
    """
    return read_augmentations(config, path).tables


def read_augmentations(
    config: Mapping[str, Any], path: Path | None = None
) -> CommunityAugmentations:
    """Do the same as `settings_from_community`, and also return what is left out."""
    found = CommunityAugmentations([], [])
    if config.get("augmentations") is None:
        return found
    section = Section(path, "augmentations", config["augmentations"])
    if not section.take_switch("enable", False):
        return found
    everywhere = section.take(ALL, dict, {})
    of_stems = {stem: section.take(stem, dict, {}) for stem in instruments_of(config)}
    sections = {
        place: Section(path, f"augmentations: {place}", {**everywhere, **values})
        for place, values in {ALL: {}, **of_stems}.items()
    }
    _add_effects(sections, found)
    _add_mixing(section, found.tables)
    section.refuse_rest()
    return found


def instruments_of(config: Mapping[str, Any]) -> Sequence[str]:
    training = config.get("training")
    found = training.get("instruments") if isinstance(training, Mapping) else None
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise UsageError("training: instruments must be a list of names")
    return found


def _add_effects(sections: Mapping[str, Section], found: CommunityAugmentations) -> None:
    """Add the effects on single sources, and refuse unknown ones; those for all come first."""
    for name in OF_A_SOURCE:
        tables = {place: _take_effect(section, name) for place, section in sections.items()}
        del tables[ALL]  # each stem has them too, unless it replaces them
        found.tables.extend(_grouped(tables))
    for section in sections.values():
        for name in _take_pedalboard(section):
            if name not in found.left_out:
                found.left_out.append(name)
        section.refuse_rest()


def _take_effect(section: Section, name: str) -> dict[str, Any] | None:
    """Return the table of the effect ``name``; None if its probability is 0, or below."""
    p = section.take(name, float | int, 0)
    keys = [field.name for field in dataclasses.fields(OF_SOURCES[name])]
    own = {
        key: section.take(f"{name}_{key}", float | int)
        for key in keys
        if key not in NOT_IN_YAML and f"{name}_{key}" in section
    }
    section.skip(f"{name}_backend")  # which encoder of MP3: here that of ffmpeg
    return {"name": name, "p": p, **own} if p > 0 else None


def _grouped(tables: Mapping[str, dict[str, Any] | None]) -> list[dict[str, Any]]:
    """Return one table for each group of stems with the same settings."""
    groups: list[tuple[dict[str, Any], list[str]]] = []
    for stem, table in tables.items():
        if table is None:
            continue
        for known, stems in groups:
            if known == table:
                stems.append(stem)
                break
        else:
            groups.append((table, [stem]))
    return [
        table if len(stems) == len(tables) else {**table, "stems": stems} for table, stems in groups
    ]


def _take_pedalboard(section: Section) -> list[str]:
    """Return the effects of pedalboard that are applied, and take all of their settings."""
    applied = []
    for effect in PEDALBOARD:
        name = f"pedalboard_{effect}"
        if section.take(name, float | int, 0) > 0:
            applied.append(name)
        section.skip(*[key for key in section.unread() if key.startswith(f"{name}_")])
    return applied


def _add_mixing(section: Section, tables: list[dict[str, Any]]) -> None:
    """Add what is done to all sources, and to the mixture, in the trainer's order."""
    number = float | int
    mixup = {"name": "mixup", "probs": section.take("mixup_probs", list, [])}
    for key in ("loudness_min", "loudness_max"):
        mixup[key] = section.take(f"mixup_{key}", number, 1.0)
    if section.take_switch("mixup", False) and mixup["probs"]:
        tables.append(mixup)
    low = section.take("loudness_min", number, 1.0)
    high = section.take("loudness_max", number, 1.0)
    if section.take_switch("loudness", False):
        tables.append({"name": "gain", "low": low, "high": high})
    name = "mp3_compression_on_mixture"
    table = {"name": name, "p": section.take(name, number, 0)}
    for key in ("min_bitrate", "max_bitrate"):  # bitrate_min, bitrate_max: in this place only
        theirs = f"{name}_{'_'.join(reversed(key.split('_')))}"
        if theirs in section:
            table[key] = section.take(theirs, int)
    section.skip(f"{name}_backend")
    if table["p"] > 0:
        tables.append(table)
