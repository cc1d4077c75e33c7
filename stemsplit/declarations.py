"""Declare an option as a field of a dataclass, with its help, type and limits."""

from __future__ import annotations

import dataclasses
from dataclasses import field
from functools import cache
from math import isinf
from pathlib import Path
from types import UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from stemsplit.errors import UsageError

#: The sections of help and man pages, in order.
SECTIONS = (
    "Input",
    "Output",
    "Stems and mixes",
    "Model and quality",
    "Device and speed",
    "Folders and resuming",
    "DAW",
    "Reporting",
)


class Declaration(NamedTuple):
    """The metadata of an option, besides the type and default of its field.

    ``section`` is one of `SECTIONS`. ``name`` is the long name on the command line, if it differs
    from that of the field; a flag that is on by default is named for turning it off
    (``--no-dither``). ``minimum`` and ``maximum`` limit the value, also in Python.
    """

    help: str
    section: str | None = None
    name: str | None = None
    short: str | None = None
    metavar: str | None = None
    variable: str | None = None  # environment variable
    minimum: float | None = None
    maximum: float | None = None


def option(default: Any, help: str, **facts: Any) -> Any:
    """Return the field of an option; ``facts`` are other fields of `Declaration`."""
    return field(default=default, metadata={"option": Declaration(help=help, **facts)})


def declaration(declared: dataclasses.Field[Any]) -> Declaration | None:
    """Return the declaration in the field of an option; None for a field that is not an option."""
    found: Declaration | None = declared.metadata.get("option")
    return found


@cache
def hints_of(cls: Any) -> dict[str, Any]:
    """Return the types of the fields of ``cls``, a dataclass of options, by field name."""
    return get_type_hints(cls)


def check(options: Any) -> None:
    """Raise ``UsageError`` if a value in ``options`` has the wrong type or is out of range."""
    cls: Any = type(options)
    hints = hints_of(cls)
    for declared in dataclasses.fields(options):
        name, hint = declared.name, hints[declared.name]
        value, found = getattr(options, name), declaration(declared)
        if not dataclasses.is_dataclass(hint):
            _check_type(name, value, hint)
        if found is not None and isinstance(value, int | float):
            _check_limits(name, value, found)


def _check_type(name: str, value: Any, hint: Any) -> None:
    if _fits(value, hint):
        return
    parts = [part for part in parts_of(hint) if part is not type(None)]
    if isinstance(value, str) and get_origin(parts[0]) is Literal:
        choices = ", ".join(get_args(parts[0]))
        raise UsageError(f"unknown {name} {value!r}", hint=f"choose one of: {choices}")
    raise UsageError(f"{name} must be {' or '.join(map(_kind, parts))}, not {value!r}")


def _fits(value: Any, hint: Any) -> bool:
    """Return whether ``value`` has the type ``hint``; names in sequences are checked elsewhere."""
    parts = parts_of(hint)
    if len(parts) > 1:
        return any(_fits(value, part) for part in parts)
    if get_origin(hint) is Literal:
        return isinstance(value, str) and value in get_args(hint)
    if get_origin(hint) is tuple:
        return isinstance(value, tuple) and all(isinstance(each, str) for each in value)
    if hint in (int, float):  # bool is a subclass of int, but not a number here
        return isinstance(value, (int, hint)) and not isinstance(value, bool)
    return isinstance(value, hint)


def parts_of(hint: Any) -> tuple[Any, ...]:
    """Return the members of the union ``hint``, or ``hint`` itself."""
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


#: The names of types in errors.
_KINDS = {
    int: "a whole number",
    float: "a number",
    bool: "True or False",
    str: "text",
    Path: "a path",
}


def _kind(part: Any) -> str:
    if get_origin(part) is Literal:
        return f"one of {', '.join(get_args(part))}"
    return "a sequence of names" if get_origin(part) is tuple else _KINDS[part]


def _check_limits(name: str, value: float, found: Declaration) -> None:
    if isinstance(value, float) and isinf(value):
        raise UsageError(f"{name} must be finite, not {value:g}")
    if found.minimum is not None and not value >= found.minimum:
        raise UsageError(f"{name} must be at least {found.minimum:g}, not {_shown(value)}")
    if found.maximum is not None and value > found.maximum:
        raise UsageError(f"{name} must be at most {found.maximum:g}, not {_shown(value)}")


def _shown(value: float) -> str:
    """Return ``value`` as text; an integer may be larger than any float."""
    if isinstance(value, int) and abs(value) >= 10**15:
        from decimal import Decimal  # imported late: few numbers are that large

        return f"{Decimal(value).normalize():.6g}"
    return f"{value:g}"
