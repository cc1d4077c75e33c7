"""What the names of audio files mean: which stem a file contains, and the title of its song."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

MIXTURE = "mixture"
#: Names of files with the mixture, the preferred one first.
MIXTURES = (MIXTURE, "mix")
#: Names for everything but the vocals.
REST_OF_VOCALS = ("instrumental", "accompaniment", "no_vocals", "minus_vocals", "karaoke")
#: The stems of a song that is split into four; a sum without one of them gets a remark.
USUAL = ("vocals", "drums", "bass", "other")
#: Stems that a sum may consist of, and that a name may end with, as in "song - vocals.wav".
STEMS = (
    *USUAL,
    *("guitar", "piano", "keys", "keyboards", "strings", "synth", "synths", "organ"),
    *("brass", "winds", "woodwinds", "percussion", "choir"),
)
#: Parts of a stem, besides those named ``STEM_PART``.
PARTS = {
    "lead_vocals": "vocals",
    "backing_vocals": "vocals",
    "acoustic_guitar": "guitar",
    "electric_guitar": "guitar",
}
#: Endings of names that end with a stem too, but mean something else.
ENDINGS = (
    *MIXTURES,
    *REST_OF_VOCALS,
    *PARTS,
    *("vocals_lead", "vocals_backing"),
    *(f"{but}_{stem}" for stem in STEMS for but in ("no", "minus")),
)


def normalise(name: str) -> str:
    """Return ``name`` in lower case with its words joined by ``_``; unchanged if it has none."""
    return re.sub(r"[\W_]+", "_", name.casefold()).strip("_") or name


def stem_of(name: str, stems: Sequence[str] = STEMS) -> str:
    """Return the stem, one of ``stems`` or ``ENDINGS``, that the file ``name`` ends with.

    ``Song - Vocals`` is ``vocals``. A name that ends with none of them is itself the stem, in
    normal form.
    """
    whole = normalise(name)
    endings = sorted({*stems, *ENDINGS}, key=len, reverse=True)
    return next((end for end in endings if f"_{whole}".endswith(f"_{end}")), whole)


def excluded_stem(name: str) -> str | None:
    """Return the stem that ``name``, in normal form, excludes: ``vocals`` for ``no_vocals``.

    None for a name that excludes nothing.
    """
    if name in REST_OF_VOCALS:
        return "vocals"
    found = re.fullmatch(r"(?:no|minus)_(?!no_|minus_)(\w+)", name)
    return found[1] if found else None


def title_of(mixture: Path) -> str:
    """Return the title of the song in the file ``mixture``.

    That is the file's own name, or the folder's if the file is just called ``mixture`` or ``mix``,
    as in ``Song/mixture.wav``.
    """
    return mixture.resolve().parent.name if normalise(mixture.stem) in MIXTURES else mixture.stem
