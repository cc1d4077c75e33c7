"""Folders of the cache: each is complete or absent, and filled by one process at a time."""

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

from stemsplit import user_folders
from stemsplit.errors import DISK_FULL, CheckpointError, ResourceError, disk_full
from stemsplit.small_files import open_regular, parse_json, read_small
from stemsplit.types import Fetching

if TYPE_CHECKING:
    from stemsplit.checkpoints.weights import Weights

WEIGHTS = "weights.safetensors"
ORIGIN = "origin.json"
DISK_HINT = "free some space, or set STEMSPLIT_CACHE_DIR to a folder on another disk"
#: Extensions of the files that belong to a folder that is a checkpoint.
PARTS = frozenset({".json", ".pth"})
#: How long the files of a killed run are kept, in seconds, because a download can be resumed.
LEFTOVER_SECONDS = 7 * 24 * 3600
_POLL_SECONDS = 0.2


def cache_dir() -> Path:
    """Return the cache folder, which may not exist yet."""
    chosen = os.environ.get("STEMSPLIT_CACHE_DIR")
    if chosen:
        return Path(chosen).expanduser()
    return user_folders.cache_dir()


def read_origin(folder: Path) -> dict[str, Any] | None:
    """Return the content of ``origin.json``, or None unless the weights have the size it states."""
    try:
        origin: dict[str, Any] = parse_json(read_small(folder / ORIGIN))
        weights, files = origin["weights"], origin["files"]
        texts = [weights["sha256"], *(file[key] for file in files for key in ("sha256", "address"))]
        whole = files and all(isinstance(text, str) for text in texts)
        return origin if whole and (folder / WEIGHTS).stat().st_size == weights["size"] else None
    except (AttributeError, OSError, ValueError, KeyError, TypeError):
        return None


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file in hex. Raises ``CheckpointError`` if it cannot be read."""
    with _reading_explained(path), open_regular(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def known_digest_of(path: Path) -> str:
    """Return the same as `digest_of`, but read a file again only if its size or times changed.

    This does not detect damage by a failing disk: use it to tell files apart, not to verify them.
    The digest of a folder is computed from the names and digests of its `PARTS`.
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
    """Raise ``ResourceError`` if the cache, or ``place`` in it, cannot be written."""
    try:
        yield
    except OSError as exc:
        path = place or exc.filename or cache_dir()
        if exc.errno in DISK_FULL:
            raise disk_full(exc.strerror or str(exc), path, hint=DISK_HINT) from exc
        raise ResourceError(
            f"the cache cannot be written: {exc.strerror}",
            path=path,
            hint="set STEMSPLIT_CACHE_DIR to a folder that you can write to",
        ) from exc


class _Lock:
    """A lock between processes. It is released when its process ends, even if killed."""

    def __init__(self, name: str) -> None:
        from filelock import FileLock

        self._path = cache_dir() / "locks" / f"{name}.lock"
        # A generator may be closed by a different thread than the one that started it.
        self._lock = FileLock(self._path, thread_local=False)

    def acquire(self) -> bool:
        """Try to acquire the lock, and return whether that succeeded."""
        from filelock import Timeout

        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            return False
        return True

    def release(self) -> None:
        """Release the lock."""
        self._lock.release()


@contextmanager
def filling(kind: str, name: str) -> Iterator[Filling]:
    """Provide a folder of the cache to fill; afterwards unlock it and remove it if empty."""
    folder = Filling(kind, name)
    try:
        yield folder
    finally:
        folder.close()


class Filling:
    """A folder ``kind/name`` of the cache to fill, exclusively once `wait` has ended."""

    def __init__(self, kind: str, name: str) -> None:
        self.target = cache_dir() / kind / name
        self.partial = cache_dir() / "partial" / f"{kind}-{name}"
        self._lock = _Lock(self.partial.name)

    def wait(self, name: str) -> Iterator[Fetching]:
        """Acquire the lock; yield events for ``name`` while another process holds it."""
        with writing_explained():
            self.target.parent.mkdir(parents=True, exist_ok=True)
            while not self._lock.acquire():
                yield Fetching(name, "another process (waiting for it)", None, None)
                time.sleep(_POLL_SECONDS)
            self.partial.mkdir(parents=True, exist_ok=True)

    def sweep(self) -> None:
        """Remove the leftovers of killed runs: all but resumable files here, old ones elsewhere."""
        for path in self.partial.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
        for folder in self.partial.parent.iterdir():
            youngest = max((path.stat().st_mtime for path in folder.rglob("*")), default=0.0)
            lock = _Lock(folder.name)
            is_old = time.time() - youngest > LEFTOVER_SECONDS
            if folder != self.partial and is_old and lock.acquire():
                shutil.rmtree(folder, ignore_errors=True)
                lock.release()

    def keep(self, weights: Weights, origin: dict[str, Any]) -> None:
        """Write ``weights`` with their ``origin``, and move the folder into place."""
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
        """Remove the existing folder, also in one step."""
        if self.target.exists():
            old = self.partial / "old"
            os.rename(self.target, old)
            shutil.rmtree(old)

    def close(self) -> None:
        """Release the lock, and remove the partial folder if it is empty."""
        with suppress(OSError):  # not empty: the download can be resumed
            self.partial.rmdir()
        self._lock.release()
