"""Which stems are wanted, and which of them the model has to give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stemsplit.checkpoints.registry import require_stems
from stemsplit.errors import UsageError


@dataclass(frozen=True, slots=True)
class Selection:
    """``wanted`` stems by name, made of the ``needed`` ones of the model.

    With a ``rest`` there is one needed stem, and ``rest`` is the mix without it.
    """

    wanted: tuple[str, ...]
    needed: tuple[str, ...]
    rest: str | None = None


def select_stems(
    available: Sequence[str], stems: Sequence[str] | None = None, two_stems: str | None = None
) -> Selection:
    """Return what is to be written of a model's ``available`` stems: all, ``stems``, or two.

    ``two_stems`` names one stem; the other is the rest of the mix, ``no_`` and that name. Raises
    ``UsageError`` for a stem that the model does not have, and for both choices at once.
    """
    if stems is not None and two_stems is not None:
        raise UsageError("stems and two_stems exclude each other")
    if isinstance(stems, str):
        raise UsageError(f"stems is a sequence of names, not {stems!r}")
    require_stems("the model", available, stems or () if two_stems is None else (two_stems,))
    if two_stems is not None:
        rest = f"no_{two_stems}"
        return Selection((two_stems, rest), (two_stems,), rest)
    if stems is None:
        return Selection(tuple(available), tuple(available))
    if not stems:
        raise UsageError("--stems names no stem", hint=f"the stems are: {', '.join(available)}")
    chosen = tuple(dict.fromkeys(stems))  # asked twice is asked once; the asked order stays
    return Selection(chosen, chosen)
