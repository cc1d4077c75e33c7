"""How a stem was made: everything besides the song that determines its bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from stemsplit.audio.excerpt import describe_excerpt
from stemsplit.errors import UsageError
from stemsplit.options import Excerpt

#: The digest of weights that are not on this machine; it matches all digests.
UNKNOWN_DIGEST = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Everything besides the input that determines the bytes of a stem.

    ``defaults`` are the default values of settings. If a manifest does not have a setting, it is
    older than the option, and its stems were made with the default.
    """

    model: str
    digest: str  # SHA-256 of the networks and their weights
    parts: dict[str, float]  # the gain of each source, and of the mix, in the stem
    settings: dict[str, Any]
    defaults: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def matches(self, recorded: Provenance) -> bool:
        """Return whether a stem with the ``recorded`` provenance is the same as one with this."""
        return (
            recorded.model == self.model
            and self.digest in (UNKNOWN_DIGEST, recorded.digest)
            and recorded.parts == self.parts
            and _are_same(self.settings, _filled(recorded.settings, self.defaults))
        )

    def describe(self, recorded: Provenance) -> str:
        """Describe the ``recorded`` provenance of a stem, and how it differs from this one."""
        settings = _filled(recorded.settings, self.defaults)
        words = [f"made with {recorded.model or 'an unknown model'}", _part_of_song(settings)]
        if recorded.model == self.model and self.digest not in (UNKNOWN_DIGEST, recorded.digest):
            words.append("other weights or an older version")
        if recorded.parts != self.parts:
            words.append("another mix of sources")
        return ", ".join([*words, *_differences(settings, self.settings)])


def _filled(settings: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``settings`` completed with ``defaults``, including nested tables."""
    filled = dict(settings)
    for name, default in defaults.items():
        if name not in filled:
            filled[name] = default
        elif isinstance(default, Mapping) and isinstance(filled[name], Mapping):
            filled[name] = _filled(filled[name], default)
    return filled


def _are_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    # Usually they are equal already, and a folder may have thousands of stems.
    return one == other or _comparable(one) == _comparable(other)


def _comparable(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``settings`` with the part of the song as its bounds, however it was given."""
    try:
        excerpt = Excerpt(**settings.get("excerpt", {}))
    except (TypeError, UsageError):  # written by a later version, or damaged
        return dict(settings)
    part = excerpt.bounds if excerpt.preview is None else excerpt.preview
    return {**settings, "excerpt": part}


def _part_of_song(settings: Mapping[str, Any]) -> str:
    """Describe which part of the song is split with these ``settings``."""
    try:
        return describe_excerpt(Excerpt(**settings.get("excerpt", {}))) or "whole song"
    except (TypeError, UsageError):  # written by a later version, or damaged
        return "an unknown part of the song"


def _differences(recorded: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[str]:
    """Yield the recorded settings that differ from the wanted ones, as ``name value``."""
    for name in sorted(recorded.keys() | wanted.keys()):
        old, new = recorded.get(name), wanted.get(name)
        if old == new or name == "excerpt":
            continue
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from _differences(old, new)
        else:
            yield f"{name} {'default' if old is None else old}"
