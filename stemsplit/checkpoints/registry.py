"""The registry of models: ``registry.toml``, extended by the tables of ``$STEMSPLIT_REGISTRY``.

``STEMSPLIT_REGISTRY=/path/extra.toml`` names a file with more ``[models.NAME]`` tables: private
checkpoints, or other sources for an existing model (the later table replaces the earlier one). It
has the layout of ``registry.toml`` and may have ``[defaults]``, which apply to its own models only:
a licence or training data must not come from a file that its author does not see. Uses the standard
library only, and no slow imports.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from stemsplit.checkpoints.compiled_registry import compile_registry, read_compiled
from stemsplit.checkpoints.entries import SUFFIXES, Model, Registry
from stemsplit.checkpoints.open_unmix_folder import find_targets, not_a_checkpoint
from stemsplit.checkpoints.registry_file import read_models
from stemsplit.checkpoints.toml_table import Table
from stemsplit.errors import CheckpointError, UsageError
from stemsplit.small_files import parse_toml, read_small
from stemsplit.stem_names import WITHOUT, meant_by

#: Groups that follow from the kind of model; `[groups]` in the registry defines the others.
WITHOUT_WEIGHTS, SMALL, UNSORTED = "No weights", "For trying and testing", "Others"
#: How many models a hint names at most.
MOST_NAMES = 3
#: How similar a name must be to that of a model to be preferred to names that contain it.
ALIKE = 0.75
#: The registry of this program, and its compiled form.
REGISTRY = Path(__file__).with_name("registry.toml")
COMPILED = REGISTRY.with_suffix(".json")
_LIST_HINT = "stemsplit models list shows all models"
#: A Demucs file: its signature, which Demucs accepts as a model name, and digits of its SHA-256.
_SIGNED = re.compile(r"([0-9a-f]{8})-[0-9a-f]{8}\.th")


def list_models() -> list[Model]:
    """Return all models, in the order of the registry.

    Raises ``UsageError`` if the file that ``$STEMSPLIT_REGISTRY`` names is missing or invalid.
    """
    return list(_registry().models.values())


def list_groups() -> dict[str, list[Model]]:
    """Return all models by group, both in the order of the registry."""
    names = [*_registry().groups, WITHOUT_WEIGHTS, SMALL, UNSORTED]
    groups: dict[str, list[Model]] = {name: [] for name in names}
    for model in list_models():
        groups[group_of(model)].append(model)
    return {name: models for name, models in groups.items() if models}


def group_of(model: Model) -> str:
    """Return the group of ``model``, by its architecture; for an ensemble, that of its members."""
    if model.members:
        return group_of(resolve(model.members[0]))
    if not model.sources:
        return WITHOUT_WEIGHTS if model.without_weights else SMALL
    module = model.architecture.partition(":")[0]
    groups = _registry().groups.items()
    return next((name for name, modules in groups if module in modules), UNSORTED)


def canonical(name: str) -> str:
    """Return the registry's name of the model that another program calls ``name``.

    Such names are ``spleeter:2stems``, ``htdemucs_ft.yaml``, ``umxl``, ``HTDemucs`` and the name of
    the file that a model is fetched as. Existing files, folders of Open-Unmix and unknown
    names are returned unchanged.
    """
    if name in _registry().models or os.path.isfile(name) or find_targets(Path(name)):
        return name
    return _other_names(os.environ.get("STEMSPLIT_REGISTRY")).get(_plain(name), name)


def is_known(name: str) -> bool:
    """Return whether a model of the registry has ``name`` among its names."""
    return canonical(name) in _registry().models


def resolve(name: str) -> Model:
    """Return the model that has ``name`` among its names.

    Raises ``UsageError`` for an unknown name.
    """
    name = canonical(name)
    models = _registry().models
    if name in models:
        return models[name]
    _refuse_left_out(name)
    near = _near(name, models)
    hint = f"did you mean {' or '.join(near)}? {_LIST_HINT}" if near else _LIST_HINT
    raise UsageError(f"no model {name!r}", hint=hint)


def _refuse_left_out(name: str) -> None:
    """Raise ``UsageError`` if ``name`` is that of a model which is not supported."""
    for pattern, reason in _registry().left_out.items():
        if fnmatchcase(_plain(name), _plain(pattern)):
            raise UsageError(f"no model {name!r}: {reason}", hint=_LIST_HINT)


def _near(name: str, models: Iterable[str]) -> list[str]:
    """Return the first of ``models`` that ``name`` misspells, or is a part of, if any.

    Models for testing are found only by names that begin like theirs.
    """
    from difflib import get_close_matches  # imported late: few names are unknown

    if not name.lower().startswith("tiny"):
        models = [each for each in models if not each.startswith("tiny.")]
    part = _plain(name)
    containing = [each for each in models if len(part) > 2 and part in _plain(each)]
    alike = functools.partial(get_close_matches, name, models, n=1)
    return alike(cutoff=ALIKE) or containing[:MOST_NAMES] or alike()


def local_file(name: str) -> Path | None:
    """Return the checkpoint file that ``name`` refers to, or None if it is not a file.

    Names in the registry take precedence; then come files, other names of models, Open-Unmix
    folders, and anything with a path separator or the extension of a checkpoint. Raises
    ``CheckpointError`` for a file that does not exist, and for any other folder, and ``UsageError``
    for the file name of a model that is not supported.
    """
    if is_known(name):
        return None
    path = Path(name)
    separators = {os.sep, os.altsep or os.sep}
    is_folder = os.path.isdir(path)
    if os.path.isfile(path):  # unlike Path.is_file, it copes with names that are too long
        return path
    if is_folder and find_targets(path):
        return path
    _refuse_left_out(name)
    if path.suffix.lower() in SUFFIXES or separators & set(name):
        if is_folder:
            raise not_a_checkpoint(path)
        raise CheckpointError("no such checkpoint file", path=name, hint=_LIST_HINT)
    return None


def check_stems(model: Model, stems: Sequence[str]) -> None:
    """Raise ``UsageError`` unless ``model`` produces each of ``stems``."""
    require_stems(model.name, model.stems, stems)


def require_stems(name: str, available: Sequence[str], stems: Sequence[str]) -> None:
    """Raise ``UsageError`` unless ``available``, the stems of ``name``, include all ``stems``."""
    for stem in stems:
        if stem not in available:
            raise UsageError(f"{name} has no stem {stem!r}", hint=_stem_hint(stem, available))


def _stem_hint(stem: str, available: Sequence[str]) -> str:
    """Return a hint at the ``available`` stems, and at how to get ``stem``."""
    if stem.startswith(WITHOUT) and (kept := stem.removeprefix(WITHOUT)) in available:
        return f"use --two-stems {kept}, which writes {stem}"
    hint = f"its stems are: {', '.join(available)}"
    if meant := meant_by(stem, available):
        return f"did you mean {meant}? {hint}"
    if any(stem in model.stems for model in list_models()):
        return f"{hint}; for models with it: stemsplit models list --stem {stem}"
    return hint


def members_for(model: Model, stems: Sequence[str] | None = None) -> list[int]:
    """Return the indices of an ensemble's members that contribute to ``stems`` (None: all)."""
    columns = [index for index, stem in enumerate(model.stems) if stems is None or stem in stems]
    return [
        index
        for index, row in enumerate(model.weights)
        if any(row[column] != 0 for column in columns)
    ]


def _registry() -> Registry:
    return _read_all(os.environ.get("STEMSPLIT_REGISTRY"))


@functools.cache
def _read_all(extra: str | None) -> Registry:
    registry = _read_own()
    if extra:
        more = _read(Path(extra))
        registry = Registry(
            registry.models | more.models,
            registry.groups | more.groups,
            registry.left_out | more.left_out,
            registry.aliases | more.aliases,
        )
    for alias, name in registry.aliases.items():
        if name not in registry.models:
            raise UsageError(f"registry: aliases.{alias}: no model {name!r}")
    for model in registry.models.values():
        if model.members:
            _check_members(model, registry.models)
    return registry


def _read_own() -> Registry:
    """Return the registry of this program, from its compiled form if that is up to date."""
    try:
        compiled = read_compiled(read_small(COMPILED), read_small(REGISTRY))
    except OSError:
        compiled = None
    return compiled or _read(REGISTRY)


def compiled() -> str:
    """Return what the file `COMPILED` should contain. Raises ``UsageError`` for invalid entries."""
    return compile_registry(_read(REGISTRY), read_small(REGISTRY))


def _read(path: Path) -> Registry:
    try:
        tables = parse_toml(read_small(path))
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else f"not TOML: {exc}"
        raise UsageError(f"registry: {reason}", path=path) from exc
    root = Table(path, "the file", tables)
    groups = Table(path, "groups", root.take("groups", dict, {}))
    left_out = Table(path, "left_out", root.take("left_out", dict, {}))
    aliases = Table(path, "aliases", root.take("aliases", dict, {}))
    defaults = root.take("defaults", dict, {})
    models = root.take("models", dict)
    root.refuse_rest()
    return Registry(
        read_models(path, models, defaults),
        {name: groups.take_texts(name) for name in groups.unread()},
        {name: left_out.take(name, str) for name in left_out.unread()},
        {name: aliases.take(name, str) for name in aliases.unread()},
    )


@functools.cache
def _other_names(extra: str | None) -> dict[str, str]:
    """Return our names of models by the `_plain` form of all their names.

    An ambiguous name is skipped.
    """
    registry = _read_all(extra)
    found: dict[str, str] = {}
    ambiguous = set()
    for model in registry.models.values():
        for name in map(_plain, _file_names(model)):
            if found.setdefault(name, model.name) != model.name:
                ambiguous.add(name)
    named = {_plain(name): name for name in registry.models}
    aliases = {_plain(alias): name for alias, name in registry.aliases.items()}
    return {name: found[name] for name in found.keys() - ambiguous} | aliases | named


def _file_names(model: Model) -> Iterator[str]:
    """Yield the names of the single files that contain all of ``model``."""
    for source in model.sources:
        if len(source.files) == 1:
            file = source.files[0].address.rpartition("/")[2]
            yield file
            if signed := _SIGNED.fullmatch(file):
                yield from (file.removesuffix(".th"), signed[1])


def _plain(name: str) -> str:
    """Return ``name`` in the normalised form used to compare names of models."""
    return re.sub(r"[-:. ]", "_", name.lower().removesuffix(".yaml"))


def _check_members(model: Model, models: Mapping[str, Model]) -> None:
    """Raise ``UsageError`` unless the members exist and their ``weights`` are valid."""

    def wrong(reason: str) -> UsageError:
        return UsageError(f"registry: models.{model.name}: {reason}")

    for name in model.members:
        member = models.get(name)
        if member is None or member.members:
            raise wrong(f"its member {name!r} is not a network of the registry")
        for key in ("sample_rate", "channels", "segment"):
            if getattr(member, key) != getattr(model, key):
                raise wrong(f"its member {name!r} has a different {key}")
    if [len(row) for row in model.weights] != [len(model.stems)] * len(model.members):
        raise wrong("weights must have a row per member and a column per stem")
    for column, stem in enumerate(model.stems):
        contributors = [
            name for name, row in zip(model.members, model.weights, strict=True) if row[column]
        ]
        if not contributors:
            raise wrong(f"no member produces {stem}")
        for name in contributors:
            if stem not in models[name].stems:
                raise wrong(f"its member {name!r} has no {stem}")
