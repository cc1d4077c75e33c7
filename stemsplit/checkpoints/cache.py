"""The cache of weights: one folder per model, either complete or absent.

::

    $STEMSPLIT_CACHE_DIR, or the system's cache folder for the user
      models/NAME/      weights.safetensors, and origin.json: source and digests of the weights,
                        and the architecture and configuration that the registry listed then
      files/SHA256/     the same for a foreign file that was passed by its path
      partial/…         downloads and conversions in progress
      locks/…

A folder is filled below ``partial`` and moved into place by one rename. The process that fills it
holds its lock, so anything unlocked below ``partial`` was left behind by a killed run.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from stemsplit.checkpoints.entries import Model, Source, total_of
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
from stemsplit.checkpoints.registry import list_models, members_for, resolve
from stemsplit.errors import CheckpointError, ResourceError
from stemsplit.types import Fetching, Noted, Warned

#: Increases when a reader converts the same foreign file differently; the file is then read again.
READERS = 2
#: In the worst case, a fetched file, its package and the converted weights exist side by side.
SPACE_FACTOR = 2.5


def folder_of(model: Model) -> Path:
    """Return the folder of ``model``, which may not exist yet."""
    return cache_dir() / "models" / model.name


def find(model: Model) -> Path | None:
    """Return the path of the weights of ``model``, a single network, or None if not in the cache.

    The weights count only if they have the size they were written with, and if the registry still
    lists the files they came from and the network they are for. Does not hash the file; `verify`
    does.
    """
    folder = folder_of(model)
    origin = read_origin(folder)
    if origin is None or origin.get("network") != _network(model):
        return None
    if not any(_came_from(origin, source) for source in model.sources):
        return None
    return folder / WEIGHTS


def _network(model: Model) -> dict[str, Any]:
    """Return the registry's description of the network, in the form that ``origin.json`` stores."""
    return {"architecture": model.architecture, "config": dict(model.config)}


def _came_from(origin: Mapping[str, Any], source: Source) -> bool:
    """Return whether ``origin`` lists the files of ``source``, compared by digest or address."""
    return len(origin["files"]) == len(source.files) and all(
        found["sha256"] == file.sha256
        if file.sha256 is not None
        else found["address"] == file.address
        and found["sha256"].startswith(file.sha256_prefix or "")
        for found, file in zip(origin["files"], source.files, strict=True)
    )


def is_verifiable(model: Model) -> bool:
    """Return whether the weights of ``model`` can be verified.

    This concerns the cached weights if there are any, and otherwise any of the sources.
    """
    return all(_is_verifiable(network) for network in networks(model) if network.sources)


def _is_verifiable(network: Model) -> bool:
    if find(network) is None:
        return any(source.verifiable for source in network.sources)
    origin = read_origin(folder_of(network)) or {"files": ()}
    return any(source.verifiable and _came_from(origin, source) for source in network.sources)


def missing(model: Model, stems: Sequence[str] | None = None) -> list[Model]:
    """Return the networks to fetch before ``model`` can produce ``stems`` (None: all stems)."""
    return [each for each in networks(model, stems) if each.sources and find(each) is None]


def networks(model: Model, stems: Sequence[str] | None = None) -> list[Model]:
    """Return ``model`` itself, or the members of an ensemble that contribute to ``stems``.

    With ``stems`` None, that is all members.
    """
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
    """Fetch the networks that `missing` returns; yield progress, the licence, and failed sources.

    Files without a known SHA-256 are fetched only with ``allow_unverified``. Raises
    ``CheckpointError`` if no source provides the weights or ``offline`` forbids the download, and
    ``ResourceError`` if the cache cannot hold them.
    """
    absent = []
    for each in missing(model, stems):
        if not _take_from_twin(each):
            absent.append(each)
    if absent and offline:
        names = ", ".join(each.name for each in absent)
        raise CheckpointError(
            f"the weights of {names} are not in the cache, and --offline forbids downloading them",
            hint=f"run once while online: {_pull_command(model)}",
        )
    unverifiable = [each.name for each in absent if not is_verifiable(each)]
    if unverifiable and not allow_unverified:
        raise CheckpointError(
            f"the weights of {', '.join(unverifiable)} cannot be verified: "
            f"their full SHA-256 is unknown",
            hint=f"to trust the address: stemsplit models pull {model.name} --allow-unverified",
        )
    if absent:
        # Terms that only require attribution are shown too, but not as a warning.
        yield Noted(model.terms) if model.commercial == "yes" else Warned(model.terms)
        if model.licence_note:
            yield Warned(model.licence_note)
    yield from _pull_networks(model, absent, allow_unverified)


def bytes_to_fetch(model: Model, stems: Sequence[str] | None = None) -> int | None:
    """Return the bytes that `pull` would transfer; None where that is not known."""
    return total_of(_bytes_of(each) for each in missing(model, stems))


def _bytes_of(network: Model) -> int | None:
    """Return the bytes that come from the first source of ``network`` that says how many."""
    totals = [total_of(source.transfers) for source in network.sources]
    return next((total for total in totals if total is not None), None)


def _pull_networks(
    model: Model, networks: Sequence[Model], allow_unverified: bool
) -> Iterator[Fetching | Warned]:
    """Fetch the ``networks`` of ``model``; the progress is that of all of them together."""
    before = 0  # bytes of the networks before this one
    for number, network in enumerate(networks):
        after = total_of(map(_bytes_of, networks[number + 1 :]))
        done = 0
        for event in _pull_network(network, model, allow_unverified):
            if isinstance(event, Fetching) and event.done is not None:
                done = event.done
                total = total_of((before, event.total, after))
                yield replace(event, name=model.name, done=before + done, total=total)
            else:
                yield event
        before += done


def _pull_network(
    model: Model, wanted: Model, allow_unverified: bool
) -> Iterator[Fetching | Warned]:
    """Fetch ``model``, a single network, for ``wanted``: itself, or the ensemble it belongs to."""
    from stemsplit.checkpoints import sources  # imported late: it loads an HTTP client

    with filling("models", model.name) as target:
        yield from target.wait(model.name)
        if find(model) is not None:  # another process has fetched it in the meantime
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
                size = total_of(source.transfers)
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
        f"on a machine with internet access, run: {_pull_command(wanted)}; then copy "
        f"{_folders_of(wanted)} here, or pass a checkpoint file with -n FILE"
    )
    if not allow_unverified and not all(source.verifiable for source in model.sources):
        hint += "; --allow-unverified also uses the address that cannot be verified"
    raise CheckpointError(
        f"the weights of {model.name} could not be fetched ({'; '.join(failures)})", hint=hint
    )


def _folders_of(model: Model) -> str:
    """Return the folders of all networks of ``model`` as a shell pattern."""
    names = [each.name for each in networks(model)]
    return str(
        folder_of(model).with_name(names[0] if len(names) == 1 else f"{{{','.join(names)}}}")
    )


def _take_from_twin(model: Model) -> bool:
    """Create the weights of ``model`` from those of another cached model from the same files.

    Two entries may differ only in settings that the weights do not depend on. Returns whether there
    was such a model.
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
    """Return ``source`` as ``origin.json`` stores it, with the digests of ``files``."""
    origin = asdict(source)
    for entry, path in zip(origin["files"], files, strict=True):
        entry["sha256"] = entry["sha256"] or digest_of(path)
    return origin


def _keep(
    target: Filling, model: Model, format: str, files: list[Path], origin: dict[str, Any]
) -> None:
    """Convert ``files`` and store the weights of ``model``, with their origin and network."""
    from stemsplit.checkpoints.foreign import read_listed  # imported late: few runs convert

    weights = read_listed(model, format, files)
    target.keep(weights, origin | {"network": _network(model)})


def adopt(path: Path, *, format: str) -> Path:
    """Return the path of the converted weights of the foreign file at ``path``.

    Converts the file if that has not been done before. Raises ``CheckpointError`` for a file that
    cannot be converted.
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
                from stemsplit.checkpoints.foreign import read_foreign

                target.keep(read_foreign(path, format), origin)
    return folder / WEIGHTS


def _is_adopted(folder: Path) -> bool:
    """Return whether ``folder`` holds a foreign file as the current readers convert it."""
    return (read_origin(folder) or {}).get("readers") == READERS


def verify(model: Model) -> None:
    """Raise ``CheckpointError`` if the weights are missing, or differ from what was written."""
    for each in networks(model):
        if each.sources and weights_digest(each) != digest_of(folder_of(each) / WEIGHTS):
            raise CheckpointError(
                "damaged: its SHA-256 has changed since it was written",
                path=folder_of(each) / WEIGHTS,
                hint=f"run: stemsplit models rm {each.name}, then {_pull_command(each)}",
            )


def weights_digest(model: Model) -> str:
    """Return the SHA-256 of the weights of ``model``, a single network, when they were written.

    Raises ``CheckpointError`` if they are not in the cache.
    """
    weights = find(model)
    origin = None if weights is None else read_origin(weights.parent)
    if origin is None:
        raise not_cached(model)
    return str(origin["weights"]["sha256"])


def not_cached(model: Model) -> CheckpointError:
    """Return the error for weights that are missing from the cache."""
    return CheckpointError(
        f"the weights of {model.name} are not in the cache",
        hint=f"run: {_pull_command(model)}",
    )


def remove(model: Model) -> list[Path]:
    """Remove the weights of ``model`` and of its members; return the removed folders."""
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
    """Raise ``ResourceError`` if the disk cannot hold the download, as far as its size is known."""
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
