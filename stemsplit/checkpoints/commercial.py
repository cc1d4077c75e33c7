"""Check that the licence of weights is known to allow commercial use."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stemsplit.checkpoints import foreign, loading, registry
from stemsplit.checkpoints.choosing import Wish, choose, commercial_of
from stemsplit.checkpoints.entries import Model
from stemsplit.errors import UsageError

#: How many models a hint names.
_MOST = 5


def require_commercial(name: str, stems: Sequence[str]) -> None:
    """Raise ``UsageError`` unless all `loading.members` of ``name`` may be used commercially.

    The error names models for ``stems`` that may. A checkpoint file is identified as a model of the
    registry by its SHA-256; the licence of any other file is unknown.
    """
    for each in loading.members(name):
        path = registry.local_file(each)
        model = registry.resolve(each) if path is None else _listed(path)
        if model is None:
            hint = (
                'a table of STEMSPLIT_REGISTRY with commercial = "yes" states the licence of a '
                f"file; {_allowed(stems)}"
            )
            raise UsageError("the licence of this checkpoint is unknown", path=path, hint=hint)
        commercial = commercial_of(model)
        if commercial != "yes":
            fails = "does not allow" if commercial == "no" else "is not known to allow"
            reason = f"the licence of {model.name} {fails} commercial use: {_licences(model)}"
            raise UsageError(reason, hint=_allowed(stems))


def _licences(model: Model) -> str:
    """Return the licences of ``model`` and its members, each once."""
    named = [model, *map(registry.resolve, model.members)]
    return "; ".join(dict.fromkeys(each.licence for each in named))


def _listed(path: Path) -> Model | None:
    from stemsplit.checkpoints.convert import sniff

    return foreign.find_listed(path, sniff(path))


def _allowed(stems: Sequence[str]) -> str:
    """Return a hint with the models for ``stems`` that allow commercial use, best first."""
    sections = choose(Wish(stems=tuple(stems), commercial=True), "sdr")
    names = [model.name for models in sections.values() for model in models]
    if not names:
        return f"no model with {', '.join(stems)} is known to allow it"
    more = ", …" if len(names) > _MOST else ""
    command = f"stemsplit models list --stem {','.join(stems)} --commercial --sort sdr"
    return f"models that allow it, best first: {', '.join(names[:_MOST])}{more} ({command})"
