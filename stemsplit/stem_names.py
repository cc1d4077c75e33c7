"""What stems are called, and which colour they have, in other programs."""

from __future__ import annotations

#: How many stems a file of Native Instruments holds, and the order that is usual.
STEMS = 4
ORDER = ("drums", "bass", "other", "vocals")
#: The colours of Okabe and Ito, which people of every colour vision tell apart. The first four are
#: those that Native Instruments' tools and Mixxx give these stems.
COLOURS = {
    "drums": "#009E73",
    "bass": "#D55E00",
    "other": "#CC79A7",
    "vocals": "#56B4E9",
    "guitar": "#E69F00",
    "piano": "#F0E442",
}
#: For all others, in turn.
FURTHER_COLOURS = ("#0072B2", "#999999", *COLOURS.values())


def shown_name(stem: str) -> str:
    """Return how a person reads the name of a stem: ``no_vocals`` is No vocals."""
    words = stem.replace("_", " ").strip()
    return words[:1].upper() + words[1:] or stem


def colours_of(stems: tuple[str, ...]) -> dict[str, str]:
    """Return the colour of each of ``stems``, as ``#RRGGBB``."""
    unknown = [stem for stem in stems if stem not in COLOURS]
    others = {
        stem: FURTHER_COLOURS[place % len(FURTHER_COLOURS)] for place, stem in enumerate(unknown)
    }
    return {stem: COLOURS.get(stem) or others[stem] for stem in stems}
