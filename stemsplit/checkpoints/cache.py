"""Where weights are kept: one folder per model, which is whole or not there.

::

    $STEMSPLIT_CACHE_DIR, or the user's cache folder of the system
      models/NAME/      weights.safetensors, and origin.json: where they came from, and digests
      files/SHA256/     the same for a foreign file that was given by its path
      partial/…         what is being fetched and converted
      locks/…

A folder is filled below ``partial`` and appears by one rename. Whoever fills one holds its lock, so
what lies below ``partial`` without a lock was left by a run that was killed.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stemsplit.checkpoints import sources
from stemsplit.checkpoints.registry import Model, Source, members_for, resolve
from stemsplit.errors import CheckpointError, ResourceError
from stemsplit.types import Fetching, Warned

if TYPE_CHECKING:
    from stemsplit.checkpoints.weights import Weights

WEIGHTS = "weights.safetensors"
ORIGIN = "origin.json"
#: A fetched file, its package, and the converted weights lie side by side at worst.
SPACE_FACTOR = 2.5
#: What a killed run left is kept for so long, in seconds, because a download can be taken up again.
LEFTOVER_SECONDS = 7 * 24 * 3600
_POLL_SECONDS = 0.2


def cache_dir() -> Path:
    """Return the cache folder, which need not exist."""
    chosen = os.environ.get("STEMSPLIT_CACHE_DIR")
    if chosen:
        return Path(chosen).expanduser()
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("stemsplit", appauthor=False))


def folder_of(model: Model) -> Path:
    """Return the folder of ``model``, which need not exist."""
    return cache_dir() / "models" / model.name


def find(model: Model) -> Path | None:
    """Return the weights of ``model``, one network, if they are in the cache.

    They count only if they have the size they were written with and came from files that the
    registry names now. Nothing is hashed; that is what `verify` is for.
    """
    known = [[file.sha256 for file in source.files] for source in model.sources]
    folder = folder_of(model)
    origin = _read_origin(folder)
    if origin is None or [file["sha256"] for file in origin["files"]] not in known:
        return None
    return folder / WEIGHTS


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
    patience: sources.Patience = sources.PATIENCE,
) -> Iterator[Fetching | Warned]:
    """Fetch what `missing` names; yield progress, the licence, and which source did not serve.

    Raises ``CheckpointError`` when there is no way to get the weights, or ``offline`` forbids to
    try, and ``ResourceError`` when the cache cannot hold them.
    """
    absent = missing(model, stems)
    if absent and offline:
        names = ", ".join(each.name for each in absent)
        raise CheckpointError(
            f"the weights of {names} are not in the cache, and --offline forbids to fetch them",
            hint=f"run once with a network: stemsplit models pull {model.name}",
        )
    if absent and model.licence_note:
        yield Warned(model.licence_note)
    for each in absent:
        yield from _pull_network(each, patience)


def _pull_network(model: Model, patience: sources.Patience) -> Iterator[Fetching | Warned]:
    with _filling("models", model.name) as filling:
        yield from filling.wait(model.name)
        if find(model) is not None:  # another process did it meanwhile
            return
        filling.sweep()
        _check_space(model, filling.partial)
        failures = []
        for source in model.sources:
            try:
                files = yield from sources.fetch(
                    source, filling.partial, name=model.name, patience=patience
                )
                filling.keep(_convert(model, source, files), asdict(source))
            except CheckpointError as exc:
                failures.append(f"{sources.describe(source)}: {exc}")
                continue
            if failures:
                yield Warned(f"{model.name} came from a mirror ({'; '.join(failures)})")
            return
    raise CheckpointError(
        f"no source gave the weights of {model.name} ({'; '.join(failures)})",
        hint=f"where there is a network, run: stemsplit models pull {model.name}; then copy "
        f"{folder_of(model)} here, or name a checkpoint file with -n FILE",
    )


def _convert(model: Model, source: Source, files: list[Path]) -> Weights:
    from stemsplit.checkpoints.convert import convert

    weights = convert(source.format, files)
    stems = tuple(weights.config.get("sources", ()))
    if weights.architecture != model.architecture or stems != model.stems:
        raise CheckpointError(
            f"holds a {weights.architecture} of {', '.join(stems)}, "
            f"not a {model.architecture} of {', '.join(model.stems)}"
        )
    return weights


def adopt(path: Path, *, format: str) -> Path:
    """Return the weights of the foreign file at ``path``, which is converted when it is new.

    Raises ``CheckpointError`` for a file that cannot be converted.
    """
    from stemsplit.checkpoints.convert import convert

    digest = _digest(path)
    folder = cache_dir() / "files" / digest
    if _read_origin(folder) is None:
        with _filling("files", digest) as filling:
            for _ in filling.wait(path.name):
                pass
            if _read_origin(folder) is None:
                filling.sweep()
                file = {"address": path.absolute().as_uri(), "sha256": digest}
                filling.keep(convert(format, [path]), {"format": format, "files": [file]})
    return folder / WEIGHTS


def verify(model: Model, stems: Sequence[str] | None = None) -> None:
    """Raise ``CheckpointError`` unless the weights are there, with the bytes that were written."""
    for each in networks(model, stems):
        if not each.sources:
            continue
        weights = find(each)
        if weights is None:
            raise not_cached(each)
        origin = _read_origin(weights.parent)
        if origin is None or _digest(weights) != origin["weights"]["sha256"]:
            raise CheckpointError(
                "damaged: not the bytes that were written",
                path=weights,
                hint=f"stemsplit models rm {each.name}, then stemsplit models pull {each.name}",
            )


def not_cached(model: Model) -> CheckpointError:
    """Return the error for weights that should be here and are not."""
    return CheckpointError(
        f"the weights of {model.name} are not in the cache",
        hint=f"stemsplit models pull {model.name}",
    )


def remove(model: Model) -> list[Path]:
    """Remove the weights of ``model`` and of its members; return the folders that are gone."""
    removed = []
    for each in networks(model):
        folder = folder_of(each)
        if not folder.exists() and not (cache_dir() / "partial" / f"models-{each.name}").exists():
            continue
        with _filling("models", each.name) as filling:
            for _ in filling.wait(each.name):
                pass
            shutil.rmtree(filling.partial)
            filling.partial.mkdir()
            if folder.exists():
                filling.discard_old()
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
            hint=sources.DISK_HINT,
        )


def _read_origin(folder: Path) -> dict[str, Any] | None:
    """Return what ``origin.json`` says, if the weights beside it have the size that it says."""
    try:
        origin: dict[str, Any] = json.loads((folder / ORIGIN).read_text(encoding="utf-8"))
        size = (folder / WEIGHTS).stat().st_size
        return origin if size == origin["weights"]["size"] and origin["files"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as exc:
        raise CheckpointError(f"cannot be read: {exc.strerror}", path=path) from exc


@contextmanager
def _folder_explained() -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        full = exc.errno in (errno.ENOSPC, errno.EDQUOT)
        raise ResourceError(
            "the disk is full" if full else f"the cache cannot be written: {exc.strerror}",
            path=exc.filename or cache_dir(),
            hint=sources.DISK_HINT if full else "set STEMSPLIT_CACHE_DIR to a folder of your own",
        ) from exc


class _Lock:
    """A lock between processes. It is free again when its process ends, however that ends."""

    def __init__(self, name: str) -> None:
        from filelock import FileLock

        self._path = cache_dir() / "locks" / f"{name}.lock"
        # A generator may be closed by another thread than the one that started it.
        self._lock = FileLock(self._path, thread_local=False)

    def take(self) -> bool:
        """Return whether the lock is ours now."""
        from filelock import Timeout

        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            return False
        return True

    def release(self) -> None:
        """Let others take it."""
        self._lock.release()


@contextmanager
def _filling(kind: str, name: str) -> Iterator[_Filling]:
    """Give a folder of the cache to fill; unlock it afterwards, and leave nothing empty behind."""
    filling = _Filling(kind, name)
    try:
        yield filling
    finally:
        filling.close()


class _Filling:
    """A folder ``kind/name`` of the cache that nobody else fills: locked once `wait` has ended."""

    def __init__(self, kind: str, name: str) -> None:
        self.target = cache_dir() / kind / name
        self.partial = cache_dir() / "partial" / f"{kind}-{name}"
        self._lock = _Lock(self.partial.name)

    def wait(self, name: str) -> Iterator[Fetching]:
        """Take the lock; as long as another process holds it, yield that ``name`` comes from it."""
        with _folder_explained():
            self.target.parent.mkdir(parents=True, exist_ok=True)
            while not self._lock.take():
                yield Fetching(name, "another process (waiting for it)", None, None)
                time.sleep(_POLL_SECONDS)
            self.partial.mkdir(parents=True, exist_ok=True)

    def sweep(self) -> None:
        """Remove what killed runs left: here all but files to go on with, elsewhere what is old."""
        for path in self.partial.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
        for folder in self.partial.parent.iterdir():
            youngest = max((path.stat().st_mtime for path in folder.rglob("*")), default=0.0)
            lock = _Lock(folder.name)
            if folder != self.partial and time.time() - youngest > LEFTOVER_SECONDS and lock.take():
                shutil.rmtree(folder, ignore_errors=True)
                lock.release()

    def keep(self, weights: Weights, origin: dict[str, Any]) -> None:
        """Write ``weights`` with their ``origin``, and put the folder in its place."""
        from stemsplit.checkpoints.weights import save

        new = self.partial / "new"
        with _folder_explained():
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir()
        save(weights, new / WEIGHTS)
        size = (new / WEIGHTS).stat().st_size
        origin |= {"weights": {"sha256": _digest(new / WEIGHTS), "size": size}}
        with _folder_explained():
            text = json.dumps(origin, indent=2, sort_keys=True) + "\n"
            (new / ORIGIN).write_text(text, encoding="utf-8")
            self.discard_old()
            os.rename(new, self.target)
        shutil.rmtree(self.partial, ignore_errors=True)

    def discard_old(self) -> None:
        """Take away what is in the place, in one step as well."""
        if self.target.exists():
            old = self.partial / "old"
            os.rename(self.target, old)
            shutil.rmtree(old)

    def close(self) -> None:
        """Let others in."""
        with suppress(OSError):  # not empty: what is there can be gone on with
            self.partial.rmdir()
        self._lock.release()
