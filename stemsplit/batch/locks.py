"""Locks on songs, for processes that share an output folder.

The lock of a song is a file in the output folder, which the system releases when the process ends,
however it ends. The file names the folders that the song's stems go to, so that what a killed run
left there, hidden files called ``….part``, is found and removed.
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

from stemsplit.audio.writable import output_error
from stemsplit.errors import StemsplitError
from stemsplit.signals import signals_deferred

_PREFIX, _LOCK, _PART = ".stemsplit-", ".lock", ".part"
#: The output folder may be removed by one process while another is about to use it.
_ATTEMPTS = 10


class SongLocks:
    """The locks on songs that this process holds below the output folder ``root``.

    A context manager: entering it removes what dead runs left; leaving it releases all locks, and
    removes the output folder if it was made for them and is still empty.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._held: dict[str, FileLock] = {}
        self._made: list[Path] = []

    def __enter__(self) -> Self:
        with contextlib.suppress(OSError):
            for path in sorted(self.root.glob(f"{_PREFIX}*{_LOCK}")):
                stale = path.name.removeprefix(_PREFIX).removesuffix(_LOCK)
                folders = self._folders(stale)  # before some versions of filelock empty the file
                if self._lock(stale):
                    _remove_parts(folders, stale)
                    self.release(stale)
        return self

    def __exit__(self, *_: object) -> None:
        with signals_deferred():
            for held in list(self._held):
                self.release(held)
            for folder in reversed(self._made):
                with contextlib.suppress(OSError):  # not empty: it holds stems
                    folder.rmdir()

    def acquire(self, manifest: Path, folders: Iterable[Path]) -> str | None:
        """Lock the song with this ``manifest``; return its token, None if another process has it.

        Removes what a dead run has left of it in ``folders``. Raises ``OutputError`` if the output
        folder cannot be written.
        """
        song = token(manifest, self.root)
        try:
            self._make_root()
            if not self._lock(song):
                return None
            listed = [os.path.relpath(folder, self.root) for folder in folders]
            self._path(song).write_text(json.dumps(listed))
        except OSError as exc:
            if song in self._held:
                self.release(song)
            raise output_error(exc, self.root) from exc
        _remove_parts((self.root / folder for folder in listed), song)
        return song

    def remove_stale(self, manifest: Path, folders: Iterable[Path]) -> None:
        """Remove what a dead run has left of a song that is up to date; never raises."""
        parts = _parts(token(manifest, self.root))
        if any(any(folder.glob(parts)) for folder in folders):
            with contextlib.suppress(StemsplitError):
                if song := self.acquire(manifest, folders):
                    self.release(song)

    def release(self, token: str) -> None:
        """Release a lock, and remove the temporary files of its song."""
        with signals_deferred():
            lock = self._held.pop(token)
            _remove_parts(self._folders(token), token)
            # While it is locked: whoever opened it before looks again, and finds another file.
            with contextlib.suppress(OSError):
                self._path(token).unlink()
            lock.release()

    def _folders(self, token: str) -> list[Path]:
        """Return where the stems of a locked song go."""
        try:
            return [self.root / name for name in json.loads(self._path(token).read_text())]
        except (OSError, ValueError, TypeError):
            return []

    def _path(self, token: str) -> Path:
        return self.root / f"{_PREFIX}{token}{_LOCK}"

    def _lock(self, token: str) -> bool:
        # A song is prepared by one thread and finished by another.
        lock = FileLock(self._path(token), thread_local=False)
        for attempt in range(_ATTEMPTS):
            try:
                with signals_deferred():
                    lock.acquire(blocking=False)
                    self._held[token] = lock
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


def _parts(token: str) -> str:
    return f"{_PREFIX}{token}-*{_PART}"


def _remove_parts(folders: Iterable[Path], token: str) -> None:
    """Remove the temporary files of a song that no process is writing."""
    for folder in folders:
        for path in folder.glob(_parts(token)):
            with contextlib.suppress(OSError):
                path.unlink()
