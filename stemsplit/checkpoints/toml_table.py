"""Tables of TOML and YAML files, read key by key so that no key is overlooked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Any, get_args

from stemsplit.errors import UsageError


class Table:
    """A table that is read key by key; errors name its place in the file."""

    def __init__(self, path: Path | None, place: str, table: object) -> None:
        self.path = path
        self.place = place
        if not isinstance(table, dict):
            raise self.wrong("must be a table")
        self._rest = dict(table)

    def wrong(self, reason: str) -> UsageError:
        """Return an error for this table; ``reason`` says what is wrong."""
        return UsageError(f"registry: {self.place}: {reason}", path=self.path)

    def __contains__(self, key: str) -> bool:
        """Return whether the table has a ``key`` that has not been read yet."""
        return key in self._rest

    def unread(self) -> tuple[str, ...]:
        """Return the keys that have not been read yet."""
        return tuple(self._rest)

    def take(self, key: str, kind: type | UnionType, default: Any = ...) -> Any:
        """Return the value of ``key``, which is required unless there is a ``default``."""
        if key not in self._rest:
            if default is ...:
                raise self.wrong(f"{key} is missing")
            return default
        value = self._rest.pop(key)
        if not isinstance(value, kind) or isinstance(value, bool) or value == "":
            names = " or ".join(_KINDS[each] for each in get_args(kind) or (kind,))
            raise self.wrong(f"{key} must be {names}, not {value!r:.200}")
        return value

    def take_count(self, key: str, default: Any = ...) -> Any:
        """Return the value of ``key``, a positive integer."""
        value = self.take(key, int, default)
        if value is not default and value < 1:
            raise self.wrong(f"{key} must be above 0, not {value}")
        return value

    def take_flag(self, key: str) -> bool:
        """Return the value of ``key``, true or false; false if it is missing."""
        value = self._rest.pop(key, False)
        if not isinstance(value, bool):
            raise self.wrong(f"{key} must be true or false, not {value!r:.200}")
        return value

    def take_texts(self, key: str, default: Any = ...) -> tuple[str, ...]:
        """Return the value of ``key``, a list of distinct names."""
        words = self.take(key, list, default)
        if not all(isinstance(word, str) and word for word in words):
            raise self.wrong(f"{key} must be a list of names, not {words!r:.200}")
        if len(set(words)) < len(words):
            raise self.wrong(f"{key} contains duplicates")
        return tuple(words)

    def tables(self, key: str) -> Iterator[Table]:
        """Yield the tables in the list ``key``, which may be missing."""
        for number, table in enumerate(self.take(key, list, [])):
            yield Table(self.path, f"{self.place}.{key}[{number}]", table)

    def refuse_rest(self) -> None:
        """Raise ``UsageError`` for keys that have not been read."""
        if self._rest:
            raise self.wrong(f"unknown key {', '.join(sorted(self._rest))}")


_KINDS: Mapping[Any, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    list: "a list",
    dict: "a table",
}
