"""Folders of the cache: each is whole or not there, and filled by one process at a time."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stemsplit.errors import DISK_FULL, CheckpointError, ResourceError, disk_full
from stemsplit.small_files import open_regular, parse_json, read_small
from stemsplit.types import Fetching

if TYPE_CHECKING:
    from stemsplit.checkpoints.weights import Weights

WEIGHTS = "weights.safetensors"
ORIGIN = "origin.json"
DISK_HINT = "free some space, or set STEMSPLIT_CACHE_DIR to a folder on another disk"
#: Endings of the files that make a folder a checkpoint.
PARTS = frozenset({".json", ".pth"})
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


def read_origin(folder: Path) -> dict[str, Any] | None:
    """Return what ``origin.json`` says, if the weights beside it have the size that it says."""
    try:
        origin: dict[str, Any] = parse_json(read_small(folder / ORIGIN))
        weights, files = origin["weights"], origin["files"]
        texts = [weights["sha256"], *(file[key] for file in files for key in ("sha256", "address"))]
        whole = files and all(isinstance(text, str) for text in texts)
        return origin if whole and (folder / WEIGHTS).stat().st_size == weights["size"] else None
    except (AttributeError, OSError, ValueError, KeyError, TypeError):
        return None


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file in hex; raises ``CheckpointError`` if it cannot be read."""
    with _reading_explained(path), open_regular(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def known_digest_of(path: Path) -> str:
    """Return what `digest_of` does, but read a file again only where its state is another one.

    That does not notice what a disk does to a file: it is for telling files apart, not to verify.
    The digest of a folder is that of the names and digests of its `PARTS`.
    """
    with _reading_explained(path):
        facts = path.stat()
        if stat.S_ISDIR(facts.st_mode):
            parts = sorted(part for part in path.iterdir() if part.suffix in PARTS)
            lines = [f"{part.name} {known_digest_of(part)}" for part in parts if part.is_file()]
            return hashlib.sha256("\n".join(lines).encode()).hexdigest()
    state = (facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)
    return _digest_in_state(path.absolute(), state)


@functools.lru_cache(maxsize=100)
def _digest_in_state(path: Path, state: tuple[int, ...]) -> str:
    return digest_of(path)


@contextmanager
def _reading_explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise CheckpointError(f"cannot be read: {exc.strerror}", path=path) from exc


@contextmanager
def writing_explained(place: Path | None = None) -> Iterator[None]:
    """Raise ``ResourceError`` where the cache, or ``place`` in it, cannot be written."""
    try:
        yield
    except OSError as exc:
        path = place or exc.filename or cache_dir()
        if exc.errno in DISK_FULL:
            raise disk_full(exc.strerror or str(exc), path, hint=DISK_HINT) from exc
        raise ResourceError(
            f"the cache cannot be written: {exc.strerror}",
            path=path,
            hint="set STEMSPLIT_CACHE_DIR to a folder of your own",
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
def filling(kind: str, name: str) -> Iterator[Filling]:
    """Give a folder of the cache to fill; unlock it afterwards, and leave nothing empty behind."""
    folder = Filling(kind, name)
    try:
        yield folder
    finally:
        folder.close()


class Filling:
    """A folder ``kind/name`` of the cache to fill; no other process does, once `wait` has ended."""

    def __init__(self, kind: str, name: str) -> None:
        self.target = cache_dir() / kind / name
        self.partial = cache_dir() / "partial" / f"{kind}-{name}"
        self._lock = _Lock(self.partial.name)

    def wait(self, name: str) -> Iterator[Fetching]:
        """Take the lock; as long as another process holds it, yield that ``name`` comes from it."""
        with writing_explained():
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
        with writing_explained():
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir()
            save(weights, new / WEIGHTS)
        size = (new / WEIGHTS).stat().st_size
        origin |= {"weights": {"sha256": digest_of(new / WEIGHTS), "size": size}}
        with writing_explained():
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
