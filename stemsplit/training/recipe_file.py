"""Recipes as TOML files: those of this program, and a user's own."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from stemsplit.errors import UsageError
from stemsplit.small_files import parse_toml, read_small
from stemsplit.training.recipe import Recipe

ENDING = ".toml"
LIST_HINT = "stemsplit train recipes lists all of them"


def list_recipes() -> dict[str, str]:
    """Return the descriptions of the recipes of this program, by name."""
    found = {
        file.name.removesuffix(ENDING): parse_toml(file.read_bytes())["description"]
        for file in _folder().iterdir()
        if file.name.endswith(ENDING)
    }
    return dict(sorted(found.items()))


def read_recipe(name: str, settings: Mapping[str, Any] | None = None) -> Recipe:
    """Return the recipe ``name``: one of this program, or a TOML file.

    ``settings`` replace values, by dotted keys such as ``optimizer.lr`` or ``loss.0.weight``.
    Raises ``UsageError`` for an unknown name, a file that cannot be read, and keys or values that
    are invalid.
    """
    place, tables = _read_tables(name)
    return build_recipe(tables, place, settings)


def build_recipe(
    tables: dict[str, Any], place: str, settings: Mapping[str, Any] | None = None
) -> Recipe:
    """Return the recipe in ``tables``, read from ``place``, with ``settings``, as `read_recipe`."""
    for key, value in (settings or {}).items():
        _set(tables, key, value)
    recipe: Recipe = _build(Recipe, tables, place, "")
    return recipe


def parse_settings(pairs: Sequence[str]) -> dict[str, Any]:
    """Return the values in ``KEY=VALUE``, as in TOML, by key; a value that is not TOML is text.

    Raises ``UsageError`` for a pair without a key or a value.
    """
    settings = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not (key.strip() and equals and text.strip()):
            raise UsageError(f"--set takes KEY=VALUE, not {pair!r}")
        try:
            value = parse_toml(f"value = {text}".encode())["value"]
        except ValueError:
            value = text.strip()
        settings[key.strip()] = value
    return settings


def _read_tables(name: str) -> tuple[str, dict[str, Any]]:
    """Return where the recipe ``name`` is, for errors, and its content."""
    known = list_recipes()
    file: Traversable | Path = _folder() / f"{name}{ENDING}"
    if name not in known:
        file = Path(name)
        if not name.endswith(ENDING):
            near = get_close_matches(name, known, 2) or [*known]
            hint = f"did you mean {' or '.join(near[:2])}? {LIST_HINT}"
            raise UsageError(f"no recipe {name!r}", hint=hint)
    try:
        data = read_small(file) if isinstance(file, Path) else file.read_bytes()
        return name, parse_toml(data)
    except OSError as exc:
        raise UsageError(f"cannot be read: {exc.strerror or exc}", path=name) from exc
    except ValueError as exc:
        raise UsageError(f"not a TOML file: {exc}", path=name) from exc


def _folder() -> Traversable:
    return resources.files("stemsplit.training") / "recipes"


def _set(tables: dict[str, Any], key: str, value: Any) -> None:
    """Set the value at a dotted ``key`` of ``tables``, creating tables where they are missing."""
    *above, last = key.split(".")
    place: Any = tables
    for word in above:
        if isinstance(place, list):
            place = place[_index(place, word, key)]
        elif isinstance(place, dict):
            place = place.setdefault(word, {})
    if isinstance(place, list):
        place[_index(place, last, key)] = value
    elif isinstance(place, dict):
        place[last] = value
    else:
        raise UsageError(f"--set {key}: {'.'.join(above)} is not a table")


def _index(values: list[Any], word: str, key: str) -> int:
    if not word.isdecimal() or int(word) >= len(values):
        raise UsageError(f"--set {key}: there is no table {word}", hint="tables count from 0")
    return int(word)


# --- Values --------------------------------------------------------------------------------------


def _build(cls: Any, values: Any, place: str, key: str) -> Any:
    """Return the dataclass ``cls`` made of ``values``, the table at ``key`` of the recipe."""
    if not isinstance(values, Mapping):
        raise UsageError(f"{key} must be a table, not {values!r:.100}", path=place)
    hints = _hints(cls)
    unknown = [each for each in values if each not in hints]
    if unknown:
        near = get_close_matches(unknown[0], hints, 1)
        raise UsageError(
            f"unknown key {_dotted(key, unknown[0])}",
            path=place,
            hint=f"did you mean {_dotted(key, near[0])}?"
            if near
            else f"the keys {f'of {key} ' if key else ''}are {', '.join(hints)}",
        )
    for each in dataclasses.fields(cls):
        required = each.default is dataclasses.MISSING
        if each.name not in values and required and each.default_factory is dataclasses.MISSING:
            raise UsageError(f"{_dotted(key, each.name)} is missing", path=place)
    made = {
        name: _convert(value, hints[name], place, _dotted(key, name))
        for name, value in values.items()
    }
    try:
        return cls(**made)
    except ValueError as exc:
        raise UsageError(_dotted(key, str(exc)), path=place) from exc


def _convert(value: Any, hint: Any, place: str, key: str) -> Any:
    """Return ``value`` at ``key`` of the recipe as the type ``hint``."""
    if dataclasses.is_dataclass(hint):
        return _build(hint, value, place, key)
    if get_origin(hint) is tuple:
        (inside, *_) = get_args(hint)
        if not isinstance(value, list | tuple):
            raise UsageError(f"{key} must be a list, not {value!r:.100}", path=place)
        return tuple(
            _convert(each, inside, place, f"{key}.{number}") for number, each in enumerate(value)
        )
    kinds = _kinds(hint)
    if (isinstance(value, bool) and bool not in kinds) or not isinstance(value, kinds):
        names = _NAMES[kinds[0]]
        raise UsageError(f"{key} must be {names}, not {value!r:.100}", path=place)
    return float(value) if isinstance(value, int | float) and hint is float else value


def _kinds(hint: Any) -> tuple[type, ...]:
    """Return the types that a value of ``hint`` may have in TOML."""
    if get_origin(hint) is Literal:
        return (str,)
    return (float, int) if hint is float else (get_origin(hint) or hint,)


_NAMES: Mapping[Any, str] = {
    bool: "true or false",
    str: "text",
    int: "a whole number",
    float: "a number",
    Mapping: "a table",
}


@cache
def _hints(cls: Any) -> dict[str, Any]:
    """Return the types of the fields of ``cls``, without what annotates them."""
    return {name: _bare(hint) for name, hint in get_type_hints(cls, include_extras=True).items()}


def _bare(hint: Any) -> Any:
    while get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if get_origin(hint) is tuple:
        inside = _bare(get_args(hint)[0])
        return types.GenericAlias(tuple, (inside, ...))
    return hint


def _dotted(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name
