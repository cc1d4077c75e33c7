"""Names, order and colours of stems, as other programs show them."""

from __future__ import annotations

from collections.abc import Collection
from itertools import cycle

#: The stems of a Native Instruments stem file in their usual order, and how many it holds.
ORDER = ("drums", "bass", "other", "vocals")
STEMS = len(ORDER)
#: The Okabe-Ito colours, which are distinguishable with any kind of colour vision. The first four
#: are those that Native Instruments' tools and Mixxx use for these stems.
COLOURS = {
    "drums": "#009E73",
    "bass": "#D55E00",
    "other": "#CC79A7",
    "vocals": "#56B4E9",
    "guitar": "#E69F00",
    "piano": "#F0E442",
}
#: The song without vocals, which every model with vocals can write.
INSTRUMENTAL = "instrumental"
VOCALS = "vocals"
#: What precedes the name of a stem in that of the mix without it.
WITHOUT = "no_"
#: What people call stems, and their names here.
SYNONYMS = {
    **dict.fromkeys(("vocal", "voice", "vox", "acapella", "acappella", "a_cappella"), VOCALS),
    **dict.fromkeys(("karaoke", "no_vocals", "backing"), INSTRUMENTAL),
    **{"drum": "drums", "guitars": "guitar", "keys": "piano", "keyboard": "piano"},
}
#: For stems with other names, in turn.
FURTHER_COLOURS = ("#0072B2", "#999999", *COLOURS.values())


def shown_name(stem: str) -> str:
    """Return the display name of a stem: "No vocals" for ``no_vocals``."""
    words = stem.replace("_", " ").strip()
    return words[:1].upper() + words[1:] or stem


def meant_by(name: str, available: Collection[str]) -> str | None:
    """Return the stem that the unknown ``name`` probably means, if it is ``available``."""
    stem = SYNONYMS.get(name.lower())
    if stem in available or (stem == INSTRUMENTAL and VOCALS in available):
        return stem
    from difflib import get_close_matches  # imported late: few names are unknown

    near = get_close_matches(name.lower(), available, n=1)
    return near[0] if near else None


def colours_of(stems: tuple[str, ...]) -> dict[str, str]:
    """Return the colour of each of ``stems``, as ``#RRGGBB``."""
    further = cycle(FURTHER_COLOURS)
    return {stem: COLOURS.get(stem) or next(further) for stem in stems}
