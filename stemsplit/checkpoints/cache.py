"""Where weights are kept: one folder per model, which is whole or not there.

::

    $STEMSPLIT_CACHE_DIR, or the user's cache folder of the system
      models/NAME/      weights.safetensors, and origin.json: where they came from, digests, and the
                        architecture and configuration that the registry named at that time
      files/SHA256/     the same for a foreign file that was given by its path
      partial/…         what is being fetched and converted
      locks/…

A folder is filled below ``partial`` and appears by one rename. The process that fills one holds its
lock, so what lies below ``partial`` without a lock was left by a run that was killed.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from stemsplit.checkpoints import sources
from stemsplit.checkpoints.entries import Model, Source
from stemsplit.checkpoints.folders import (
    DISK_HINT,
    WEIGHTS,
    Filling,
    cache_dir,
    digest_of,
    filling,
    known_digest_of,
    read_origin,
)
from stemsplit.checkpoints.foreign import read_foreign, read_listed
from stemsplit.checkpoints.registry import list_models, members_for, resolve
from stemsplit.errors import CheckpointError, ResourceError
from stemsplit.types import Fetching, Noted, Warned

#: Rises when a reader makes something else of the same foreign file, which is then read anew.
READERS = 2
#: A fetched file, its package, and the converted weights lie side by side at worst.
SPACE_FACTOR = 2.5


def folder_of(model: Model) -> Path:
    """Return the folder of ``model``, which need not exist."""
    return cache_dir() / "models" / model.name


def find(model: Model) -> Path | None:
    """Return the weights of ``model``, one network, if they are in the cache.

    They count only if they have the size they were written with, came from files that the registry
    names now, and are for the network that it names now. Nothing is hashed; that is what `verify`
    is for.
    """
    folder = folder_of(model)
    origin = read_origin(folder)
    if origin is None or origin.get("network") != _network(model):
        return None
    if not any(_came_from(origin, source) for source in model.sources):
        return None
    return folder / WEIGHTS


def _network(model: Model) -> dict[str, Any]:
    """Return what the registry says of the network of ``model``, as ``origin.json`` has it."""
    return {"architecture": model.architecture, "config": dict(model.config)}


def _came_from(origin: Mapping[str, Any], source: Source) -> bool:
    """Return whether the files in ``origin`` are those of ``source``: by digest, or by address."""
    return len(origin["files"]) == len(source.files) and all(
        found["sha256"] == file.sha256
        if file.sha256 is not None
        else found["address"] == file.address
        and found["sha256"].startswith(file.sha256_prefix or "")
        for found, file in zip(origin["files"], source.files, strict=True)
    )


def is_verifiable(model: Model) -> bool:
    """Return whether the weights of ``model`` can be verified: those in the cache, if they are
    there, and otherwise what one of the sources gives."""
    return all(_is_verifiable(network) for network in networks(model) if network.sources)


def _is_verifiable(network: Model) -> bool:
    if find(network) is None:
        return any(source.verifiable for source in network.sources)
    origin = read_origin(folder_of(network)) or {"files": ()}
    return any(source.verifiable and _came_from(origin, source) for source in network.sources)


def missing(model: Model, stems: Sequence[str] | None = None) -> list[Model]:
    """Return the networks that have to be fetched before ``model`` can give ``stems`` (or all)."""
    return [each for each in networks(model, stems) if each.sources and find(each) is None]


def networks(model: Model, stems: Sequence[str] | None = None) -> list[Model]:
    """Return ``model`` itself, or the members of an ensemble that count for ``stems`` (or all)."""
    if not model.members:
        return [model]
    return [resolve(model.members[index]) for index in members_for(model, stems)]


def pull(
    model: Model,
    *,
    stems: Sequence[str] | None = None,
    offline: bool = False,
    allow_unverified: bool = False,
) -> Iterator[Fetching | Noted | Warned]:
    """Fetch what `missing` names; yield progress, the licence, and which source did not serve.

    Files whose SHA-256 is not known are fetched only if ``allow_unverified``. Raises
    ``CheckpointError`` when no source gives the weights, or ``offline`` forbids to try, and
    ``ResourceError`` when the cache cannot hold them.
    """
    absent = []
    for each in missing(model, stems):
        if not _take_from_twin(each):
            absent.append(each)
    if absent and offline:
        names = ", ".join(each.name for each in absent)
        raise CheckpointError(
            f"the weights of {names} are not in the cache, and --offline forbids to fetch them",
            hint=f"run once with a network: {_pull_command(model)}",
        )
    unverifiable = [each.name for each in absent if not is_verifiable(each)]
    if unverifiable and not allow_unverified:
        raise CheckpointError(
            f"the weights of {', '.join(unverifiable)} cannot be verified: "
            f"their whole SHA-256 is not known",
            hint=f"to trust the address: stemsplit models pull {model.name} --allow-unverified",
        )
    if absent:
        # Terms that only ask for attribution are shown too, but not as a warning.
        yield Noted(model.terms) if model.commercial == "yes" else Warned(model.terms)
        if model.licence_note:
            yield Warned(model.licence_note)
    yield from _pull_networks(model, absent, allow_unverified)


def bytes_to_fetch(model: Model, stems: Sequence[str] | None = None) -> int | None:
    """Return the bytes that `pull` would transfer; None where that is not known."""
    return sources.total_of(_bytes_of(each) for each in missing(model, stems))


def _bytes_of(network: Model) -> int | None:
    """Return the bytes that come from the first source of ``network`` that says how many."""
    totals = [sources.total_of(source.transfers) for source in network.sources]
    return next((total for total in totals if total is not None), None)


def _pull_networks(
    model: Model, networks: Sequence[Model], allow_unverified: bool
) -> Iterator[Fetching | Warned]:
    """Fetch the ``networks`` of ``model``; the progress is that of all of them together."""
    before = 0  # bytes of the networks before this one
    for number, network in enumerate(networks):
        after = sources.total_of(map(_bytes_of, networks[number + 1 :]))
        done = 0
        for event in _pull_network(network, model, allow_unverified):
            if isinstance(event, Fetching) and event.done is not None:
                done = event.done
                total = sources.total_of((before, event.total, after))
                yield replace(event, name=model.name, done=before + done, total=total)
            else:
                yield event
        before += done


def _pull_network(
    model: Model, wanted: Model, allow_unverified: bool
) -> Iterator[Fetching | Warned]:
    """Fetch ``model``, one network, for ``wanted``: itself, or the ensemble that it belongs to."""
    with filling("models", model.name) as target:
        yield from target.wait(model.name)
        if find(model) is not None:  # another process did it meanwhile
            return
        target.sweep()
        _check_space(model, target.partial)
        failures = []
        for source in model.sources:
            if not (source.verifiable or allow_unverified):
                failures.append(f"{sources.label_of(source)}: cannot be verified")
                continue
            try:
                files = yield from sources.fetch(source, target.partial, name=model.name)
                size = sources.total_of(source.transfers)
                if size is None:  # it was not published
                    size = sum(file.stat().st_size for file in files)
                yield Fetching(model.name, sources.label_of(source), size, size, "convert")
                _keep(target, model, source.format, files, _origin(source, files))
            except CheckpointError as exc:
                failures.append(f"{sources.label_of(source)}: {exc}")
                continue
            if failures:
                yield Warned(f"{model.name} came from a mirror ({'; '.join(failures)})")
            if not is_verifiable(model):
                yield Warned(f"{model.name} is unverified: {sources.label_of(source)} was trusted")
            return
    hint = (
        f"where there is a network, run: {_pull_command(wanted)}; then copy "
        f"{_folders_of(wanted)} here, or name a checkpoint file with -n FILE"
    )
    if not allow_unverified and not all(source.verifiable for source in model.sources):
        hint += "; --allow-unverified trusts the address that cannot be verified"
    raise CheckpointError(
        f"no source gave the weights of {model.name} ({'; '.join(failures)})", hint=hint
    )


def _folders_of(model: Model) -> str:
    """Return the folders of all networks of ``model`` as a shell takes them."""
    names = [each.name for each in networks(model)]
    return str(
        folder_of(model).with_name(names[0] if len(names) == 1 else f"{{{','.join(names)}}}")
    )


def _take_from_twin(model: Model) -> bool:
    """Make the weights of ``model`` out of those of another model from the same files, if any.

    Two entries may differ in settings that no weights depend on. Returns whether it was so.
    """
    for twin in list_models():
        shared = [source for source in model.sources if source in twin.sources]
        origin = read_origin(folder_of(twin)) if shared and twin.name != model.name else None
        if origin is None or not any(_came_from(origin, source) for source in shared):
            continue
        weights = folder_of(twin) / WEIGHTS
        with filling("models", model.name) as target:
            for _ in target.wait(model.name):
                pass
            if find(model) is None:
                target.sweep()
                _keep(target, model, "safetensors", [weights], origin)
        return True
    return False


def _pull_command(model: Model) -> str:
    option = "" if is_verifiable(model) else " --allow-unverified"
    return f"stemsplit models pull {model.name}{option}"


def _origin(source: Source, files: list[Path]) -> dict[str, Any]:
    """Return ``source`` as ``origin.json`` has it: with the digests that ``files`` have."""
    origin = asdict(source)
    for entry, path in zip(origin["files"], files, strict=True):
        entry["sha256"] = entry["sha256"] or digest_of(path)
    return origin


def _keep(
    target: Filling, model: Model, format: str, files: list[Path], origin: dict[str, Any]
) -> None:
    """Put the weights in ``files`` in their place, and beside them what they were converted for."""
    weights = read_listed(model, format, files)
    target.keep(weights, origin | {"network": _network(model)})


def adopt(path: Path, *, format: str) -> Path:
    """Return the weights of the foreign file at ``path``, which is converted when it is new.

    Raises ``CheckpointError`` for a file that cannot be converted.
    """
    digest = known_digest_of(path)
    folder = cache_dir() / "files" / digest
    if not _is_adopted(folder):
        with filling("files", digest) as target:
            for _ in target.wait(path.name):
                pass
            if not _is_adopted(folder):
                target.sweep()
                file = {"address": path.absolute().as_uri(), "sha256": digest}
                origin = {"format": format, "files": [file], "readers": READERS}
                target.keep(read_foreign(path, format), origin)
    return folder / WEIGHTS


def _is_adopted(folder: Path) -> bool:
    """Return whether ``folder`` has what the readers of today make of a foreign file."""
    return (read_origin(folder) or {}).get("readers") == READERS


def verify(model: Model) -> None:
    """Raise ``CheckpointError`` unless the weights are there, with the bytes that were written."""
    for each in networks(model):
        if each.sources and weights_digest(each) != digest_of(folder_of(each) / WEIGHTS):
            raise CheckpointError(
                "damaged: not the bytes that were written",
                path=folder_of(each) / WEIGHTS,
                hint=f"stemsplit models rm {each.name}, then {_pull_command(each)}",
            )


def weights_digest(model: Model) -> str:
    """Return the SHA-256 that the weights of ``model``, one network, had when they were written.

    Raises ``CheckpointError`` where they are not in the cache.
    """
    weights = find(model)
    origin = None if weights is None else read_origin(weights.parent)
    if origin is None:
        raise not_cached(model)
    return str(origin["weights"]["sha256"])


def not_cached(model: Model) -> CheckpointError:
    """Return the error for weights that should be here and are not."""
    return CheckpointError(
        f"the weights of {model.name} are not in the cache",
        hint=_pull_command(model),
    )


def remove(model: Model) -> list[Path]:
    """Remove the weights of ``model`` and of its members; return the folders that are gone."""
    removed = []
    for each in networks(model):
        folder = folder_of(each)
        if not folder.exists() and not (cache_dir() / "partial" / f"models-{each.name}").exists():
            continue
        with filling("models", each.name) as target:
            for _ in target.wait(each.name):
                pass
            shutil.rmtree(target.partial)
            target.partial.mkdir()
            if folder.exists():
                target.discard_old()
                removed.append(folder)
    return removed


def _check_space(model: Model, folder: Path) -> None:
    """Raise ``ResourceError`` if the disk cannot hold what is coming, as far as that is known."""
    sizes = [sum(file.size or 0 for file in source.files) for source in model.sources]
    needed = int(max(sizes) * SPACE_FACTOR)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ResourceError(
            f"not enough space for {model.name}: {needed / 1e6:.0f} MB needed, "
            f"{free / 1e6:.0f} MB free",
            path=cache_dir(),
            hint=DISK_HINT,
        )
