"""Styles of accompaniment: the grooves of ``mma``, and built-in ones."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from stemsplit.data.render.patterns import PATTERNS
from stemsplit.errors import UsageError

LIBRARIES = (Path("/usr/share/mma/lib"), Path("/usr/local/share/mma/lib"))
#: The library whose styles have no prefix.
STANDARD = "stdlib"
NOT_MUSIC = ("metronome*", "none")
GROOVE = re.compile(r"^\s*DefGroove\s+(\S+)", re.IGNORECASE | re.MULTILINE)
METRE = re.compile(r"^\s*TimeSig\s+(\d)[ /]+(\d)", re.IGNORECASE | re.MULTILINE)
BEATS = re.compile(r"^\s*Time\s+(\d)\s*$", re.IGNORECASE | re.MULTILINE)
#: Names of grooves for a few bars at the start, at the end or in between.
SPECIAL = ("intro", "end", "fill", "break")


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """A style: its ``metre`` in beats a bar, and the groove file of ``mma``, if it is one of those.

    ``library`` is the file as ``mma`` names it, such as ``stdlib/swing``.
    """

    name: str
    metre: int
    library: str | None = None
    grooves: tuple[str, ...] = ()  # for any number of bars
    fills: tuple[str, ...] = ()  # for one bar


BUILT_IN = {name: Style(name=name, metre=pattern.metre) for name, pattern in PATTERNS.items()}


def find_styles(*, mma: bool) -> dict[str, Style]:
    """Return the known styles by name; without ``mma``, only those that do not need it."""
    found = dict(BUILT_IN)
    for root in LIBRARIES if mma else ():
        for path in sorted(root.glob("*/*.mma")):
            folder = path.parent.name
            name = path.stem if folder == STANDARD else f"{folder}/{path.stem}"
            if not any(fnmatchcase(path.stem, each) for each in NOT_MUSIC):
                style = _read(path, name.lower(), f"{folder}/{path.stem}")
                if style is not None:
                    found[style.name] = style
    return found


def choose_styles(
    known: Mapping[str, Style], wanted: Sequence[str] = (), unwanted: Sequence[str] = ()
) -> tuple[Style, ...]:
    """Return the styles that match a pattern of ``wanted`` and none of ``unwanted``, by name.

    Without ``wanted``, all of mma's standard library and the built-in ones are. A ``*`` does not
    match a ``/``. Raises ``UsageError`` for a pattern that matches nothing, and if nothing is left.
    """
    chosen = _matching(known, wanted) if wanted else {name for name in known if "/" not in name}
    chosen -= _matching(known, unwanted)
    if not chosen:
        raise UsageError("no style is left", hint="--not-style excludes all that --style includes")
    return tuple(known[name] for name in sorted(chosen))


def _matching(known: Mapping[str, Style], patterns: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for pattern in patterns:
        names = {
            name
            for name in known
            if fnmatchcase(name, pattern.lower()) and ("/" in name) == ("/" in pattern)
        }
        if not names:
            some = ", ".join(sorted(name for name in known if "/" not in name))
            raise UsageError(f"unknown style {pattern!r}", hint=f"known styles: {some}")
        found |= names
    return found


def _read(path: Path, name: str, library: str) -> Style | None:
    """Return the style in a groove file; None for an unusual metre, or an unreadable file."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    signs, beats = set(METRE.findall(text)), set(BEATS.findall(text))
    grooves = [groove for groove in GROOVE.findall(text) if groove.isascii()]
    plain = [each for each in grooves if not any(word in each.lower() for word in SPECIAL)]
    if len(signs) != 1 or len(beats) != 1 or not plain:
        return None
    [(count, unit)] = signs
    if count not in ("3", "4") or unit != "4" or beats != {count}:
        return None
    fills = tuple(each for each in grooves if "fill" in each.lower())
    return Style(name=name, metre=int(count), library=library, grooves=tuple(plain), fills=fills)
