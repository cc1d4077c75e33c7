"""Who splits which song, where several processes share a folder of stems.

A song is claimed by a lock in the output folder, which the system frees when its process ends,
however that ends. The file of the lock names the folders that the song's stems go to: what a killed
run left in them, hidden and called ``….part``, is found by it and removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from filelock import FileLock, Timeout

from stemsplit.audio.atomic import signals_deferred
from stemsplit.audio.writable import output_error
from stemsplit.errors import StemsplitError

_PREFIX, _LOCK, _PART = ".stemsplit-", ".lock", ".part"
#: The output folder may be removed by one process while another one is about to use it.
_ATTEMPTS = 10


class SongLocks:
    """The songs that this process has claimed below the output folder ``root``.

    A context manager: when it is entered, what dead runs left is swept; when it is left, all claims
    are given up, and the output folder goes if it was made for them and nothing came into it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._held: dict[str, FileLock] = {}
        self._made: list[Path] = []

    def __enter__(self) -> Self:
        with contextlib.suppress(OSError):
            for path in sorted(self.root.glob(f"{_PREFIX}*{_LOCK}")):
                mark = path.name.removeprefix(_PREFIX).removesuffix(_LOCK)
                folders = self._folders(mark)  # before some versions of filelock empty the file
                if self._lock(mark):
                    _sweep(folders, mark)
                    self.release(mark)
        return self

    def __exit__(self, *_: object) -> None:
        with signals_deferred():
            for mark in list(self._held):
                self.release(mark)
            for folder in reversed(self._made):
                with contextlib.suppress(OSError):  # not empty: stems are in it
                    folder.rmdir()

    def take(self, manifest: Path, folders: Iterable[Path]) -> str | None:
        """Return the mark of the song with this ``manifest``; None if another process has it.

        What a dead run has left of it in ``folders`` is gone then. Raises ``OutputError`` if the
        output folder cannot be written.
        """
        mark = token(manifest, self.root)
        try:
            self._make_root()
            if not self._lock(mark):
                return None
            listed = [os.path.relpath(folder, self.root) for folder in folders]
            self._path(mark).write_text(json.dumps(listed))
        except OSError as exc:
            if mark in self._held:
                self.release(mark)
            raise output_error(exc, self.root) from exc
        _sweep((self.root / folder for folder in listed), mark)
        return mark

    def sweep(self, manifest: Path, folders: Iterable[Path]) -> None:
        """Remove what a dead run has left of a song that needs no work; never raises."""
        mark = token(manifest, self.root)
        if any(any(folder.glob(_parts(mark))) for folder in folders):
            with contextlib.suppress(StemsplitError):
                if self.take(manifest, folders):
                    self.release(mark)

    def release(self, mark: str) -> None:
        """Give up a claim; nothing of the song is in work any more."""
        with signals_deferred():
            lock = self._held.pop(mark)
            _sweep(self._folders(mark), mark)
            # While it is locked: whoever opened it before looks again, and finds another file.
            with contextlib.suppress(OSError):
                self._path(mark).unlink()
            lock.release()

    def _folders(self, mark: str) -> list[Path]:
        """Return where the stems of a song that is claimed go."""
        try:
            return [self.root / name for name in json.loads(self._path(mark).read_text())]
        except (OSError, ValueError, TypeError):
            return []

    def _path(self, mark: str) -> Path:
        return self.root / f"{_PREFIX}{mark}{_LOCK}"

    def _lock(self, mark: str) -> bool:
        # A song is prepared by one thread and finished by another.
        lock = FileLock(self._path(mark), thread_local=False)
        for attempt in range(_ATTEMPTS):
            try:
                with signals_deferred():
                    lock.acquire(blocking=False)
                    self._held[mark] = lock
                return True
            except Timeout:
                return False
            except FileNotFoundError:
                if attempt == _ATTEMPTS - 1:
                    raise
                self._make_root()
        return False

    def _make_root(self) -> None:
        missing = [folder for folder in (self.root, *self.root.parents) if not folder.exists()]
        for folder in reversed(missing):
            with contextlib.suppress(FileExistsError), signals_deferred():
                folder.mkdir()
                self._made.append(folder)


def token(manifest: Path, root: Path) -> str:
    """Return what stands for the song with this ``manifest`` in the names of temporary files."""
    relative = Path(os.path.relpath(manifest, root)).as_posix()
    return hashlib.sha256(os.fsencode(relative)).hexdigest()[:16]


def _parts(mark: str) -> str:
    return f"{_PREFIX}{mark}-*{_PART}"


def _sweep(folders: Iterable[Path], mark: str) -> None:
    """Remove the temporary files of a song that nobody is writing."""
    for folder in folders:
        for path in folder.glob(_parts(mark)):
            with contextlib.suppress(OSError):
                path.unlink()
