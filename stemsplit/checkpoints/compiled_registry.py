"""The registry of this program in a form that loads fast: ``registry.json``.

``python -m stemsplit.docgen write`` makes it from ``registry.toml``, once that file is checked and
its models have what they inherit. It has the SHA-256 of that file, and counts only while the two
match: an edited registry is read as TOML until it is compiled again. Standard library only.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from stemsplit.checkpoints.entries import Model, Registry, RemoteFile, Scores, Source


def compile_registry(registry: Registry, toml: bytes) -> str:
    """Return the content of ``registry.json`` for a ``registry`` that was read from ``toml``."""
    head = {
        "sha256": hashlib.sha256(toml).hexdigest(),
        "groups": registry.groups,
        "left_out": registry.left_out,
        "aliases": registry.aliases,
    }
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
    models = [json.dumps(_stated(model)) for model in registry.models.values()]  # one per line
    return "{" + ",\n".join(lines) + ',\n"models": [\n' + ",\n".join(models) + "\n]}\n"


def read_compiled(text: bytes, toml: bytes) -> Registry | None:
    """Return the registry in ``text``; None if it is damaged, or was not compiled from ``toml``."""
    try:
        content = json.loads(text)
        if content["sha256"] != hashlib.sha256(toml).hexdigest():
            return None
        return Registry(
            models={keys["name"]: _model(keys) for keys in content["models"]},
            groups={name: tuple(modules) for name, modules in content["groups"].items()},
            left_out=content["left_out"],
            aliases=content["aliases"],
        )
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        return None


def _stated(entry: object) -> Any:
    """Return ``entry`` as JSON values; a dataclass without the fields that have their default."""
    if isinstance(entry, Model | RemoteFile | Scores | Source):
        values = {field: getattr(entry, field.name) for field in fields(entry)}
        return {
            field.name: _stated(value)
            for field, value in values.items()
            if value != field.default
            and (field.default_factory is MISSING or value != field.default_factory())
        }
    return [_stated(each) for each in entry] if isinstance(entry, tuple) else entry


def _model(keys: dict[str, Any]) -> Model:
    for name in ("stems", "members"):
        if name in keys:
            keys[name] = tuple(keys[name])
    if "weights" in keys:
        keys["weights"] = tuple(map(tuple, keys["weights"]))
    if "scores" in keys:
        keys["scores"] = tuple(Scores(**each) for each in keys["scores"])
    if "sources" in keys:
        keys["sources"] = tuple(map(_source, keys["sources"]))
    return Model(**keys)


def _source(keys: Mapping[str, Any]) -> Source:
    files = tuple(RemoteFile(**each) for each in keys["files"])
    return Source(format=keys["format"], files=files)
