"""Which instruments play the parts of a song, and which of them share a way to the mixing desk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from numpy.random import Generator

from stemsplit.data.render.score import Part

#: Programs of General MIDI that are picked from, by family (program // 8). Voices (52 to 54, 85,
#: 91) are missing: they would be vocals in another stem.
FAMILIES: dict[int, tuple[int, ...]] = {
    0: (0, 1, 2, 3, 4, 5, 6, 7),
    1: (8, 9, 11, 12),
    2: (16, 17, 18, 19, 21),
    3: (24, 25, 26, 27, 28, 29, 30),
    4: (32, 33, 34, 35, 36, 38, 39),
    5: (40, 41, 42, 44, 45, 46),
    6: (48, 49, 50, 51),
    7: (56, 57, 58, 60, 61, 62),
    8: (64, 65, 66, 68, 71),
    9: (72, 73, 74, 75, 79),
    10: (80, 81, 82, 84, 87),
    11: (88, 89, 90, 92, 93),
}
VOICES = (52, 53, 54, 85, 91)
KITS = (0, 8, 16, 24, 25, 32, 40)
#: Programs that are played through an amplifier.
ELECTRIC = (26, 27, 28, 29, 30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Parts of one stem that are processed together; ``drive`` (dB) is that of an amplifier."""

    stem: str
    parts: tuple[Part, ...]
    pans: tuple[float, ...]
    drive: float | None = None


def assign_instruments(parts: Sequence[Part], rng: Generator) -> tuple[Part, ...]:
    """Return ``parts`` with random instruments, of the same family as before.

    All drums have the same kit, and all of the bass the same instrument.
    """
    kit = int(rng.choice(KITS))
    bass = int(rng.choice(FAMILIES[4]))
    assigned = []
    for part in parts:
        if part.drums:
            program = kit
        elif part.stem == "bass":
            program = bass
        else:
            family = 6 if part.program in VOICES else part.program // 8
            program = int(rng.choice(FAMILIES.get(family, FAMILIES[11])))
        assigned.append(replace(part, program=program))
    return tuple(assigned)


def make_groups(parts: Sequence[Part], rng: Generator) -> tuple[Group, ...]:
    """Return the groups of drums, bass, electric guitars and all others."""
    amplified = rng.random() < 0.6
    bass_drive = float(rng.uniform(0, 9)) if rng.random() < 0.4 else None
    guitar_drive = float(rng.uniform(3, 24))
    groups = [
        _group("drums", [part for part in parts if part.stem == "drums"], rng),
        _group("bass", [part for part in parts if part.stem == "bass"], rng, bass_drive),
    ]
    others = [part for part in parts if part.stem == "other"]
    electric = [part for part in others if amplified and part.program in ELECTRIC]
    groups.append(_group("other", [part for part in others if part not in electric], rng))
    groups.append(_group("other", electric, rng, guitar_drive))
    return tuple(group for group in groups if group.parts)


def _group(stem: str, parts: Sequence[Part], rng: Generator, drive: float | None = None) -> Group:
    width = 0.7 if stem == "other" else 0.0
    pans = tuple(float(rng.uniform(-width, width)) for _ in parts)
    return Group(stem=stem, parts=tuple(parts), pans=pans, drive=drive)
