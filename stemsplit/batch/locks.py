"""Locks on songs, for processes that share an output folder.

The lock of a song is a file in the output folder, which the operating system releases when the
process ends for any reason. The file lists the folders that the stems of the song are written to,
so that the temporary files (``….part``) of a killed run can be found and removed. Anyone who can
write to the output folder can write such a file, so only folders below the output folder are
trusted.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Self

from stemsplit.audio.writable import output_error
from stemsplit.errors import StemsplitError
from stemsplit.signals import signals_deferred
from stemsplit.small_files import parse_json, read_small

if TYPE_CHECKING:
    from filelock import FileLock

_PREFIX, _LOCK, _PART = ".stemsplit-", ".lock", ".part"
_TOKEN = re.compile(r"[0-9a-f]{16}")
#: The output folder may be removed by one process while another is about to use it.
_ATTEMPTS = 10


class SongLocks:
    """The locks on songs that this process holds below the output folder ``root``.

    A context manager: on entry it removes stale locks and temporary files; on exit it releases all
    locks, and removes the output folder if it created the folder and it is still empty.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._held: dict[str, FileLock] = {}
        self._folders: dict[str, list[Path]] = {}  # folders of the stems of a locked song, by token
        self._made: list[Path] = []

    def __enter__(self) -> Self:
        with contextlib.suppress(OSError):
            for path in sorted(self.root.glob(f"{_PREFIX}*{_LOCK}")):
                stale = path.name.removeprefix(_PREFIX).removesuffix(_LOCK)
                if _TOKEN.fullmatch(stale):
                    with contextlib.suppress(OSError):  # not a file: an error of its song
                        self._remove_stale(stale)
        return self

    def _remove_stale(self, token: str) -> None:
        """Remove the lock and temporary files that a dead run left. Raises ``OSError``."""
        folders = self._recorded(token)  # first, since some versions of filelock empty the file
        if self._lock(token):
            self._folders[token] = folders
            self.release(token)

    def __exit__(self, *_: object) -> None:
        with signals_deferred():
            for held in list(self._held):
                self.release(held)
            for folder in reversed(self._made):
                with contextlib.suppress(OSError):  # not empty: it contains stems
                    folder.rmdir()

    def acquire(self, manifest: Path, folders: Iterable[Path]) -> str | None:
        """Lock the song with this ``manifest``; return its token, None if another process has it.

        Removes temporary files of dead runs in ``folders``. Raises ``OutputError`` if the output
        folder cannot be written.
        """
        song = token(manifest, self.root)
        try:
            self._make_root()
            if not self._lock(song):
                return None
            own = self._folders[song] = list(folders)
            listed = [os.path.relpath(folder, self.root) for folder in own]
            self._path(song).write_text(json.dumps(listed))
        except OSError as exc:
            if song in self._held:
                self.release(song)
            raise output_error(exc, self.root) from exc
        _remove_parts(own, song)
        return song

    def remove_stale(self, manifest: Path, folders: Iterable[Path]) -> None:
        """Remove the temporary files of dead runs of a song that is up to date; never raises."""
        song = token(manifest, self.root)
        if any(_parts(folder, song) for folder in folders):
            with contextlib.suppress(StemsplitError):
                if held := self.acquire(manifest, folders):
                    self.release(held)

    def release(self, token: str) -> None:
        """Release a lock, and remove the temporary files of its song."""
        with signals_deferred():
            lock = self._held.pop(token)
            _remove_parts(self._folders.pop(token, ()), token)
            # Before the release: a process that has opened this file then notices the removal
            # and locks a new one.
            with contextlib.suppress(OSError):
                self._path(token).unlink()
            lock.release()

    def _recorded(self, token: str) -> list[Path]:
        """Return the folders listed in the lock of another run, except those outside the root."""
        root = self.root.resolve()
        try:
            names = parse_json(read_small(self._path(token)))
            folders = [(root / str(name)).resolve() for name in names]
        except (OSError, RuntimeError, TypeError, ValueError):  # RuntimeError: a loop of symlinks
            return []
        return [folder for folder in folders if folder.is_relative_to(root)]

    def _path(self, token: str) -> Path:
        return self.root / f"{_PREFIX}{token}{_LOCK}"

    def _lock(self, token: str) -> bool:
        # Imported here: a run with nothing to do locks nothing.
        from filelock import FileLock, Timeout

        _refuse_irregular(self._path(token))
        # One thread prepares a song, another finishes it.
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


def _refuse_irregular(path: Path) -> None:
    """Raise ``OSError`` if ``path`` exists but is not a regular file, such as a link.

    Locking a link would empty its target.
    """
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISREG(path.lstat().st_mode):
            raise OSError(errno.EEXIST, "is not a regular file", str(path))


def token(manifest: Path, root: Path) -> str:
    """Return the hash that identifies the song with this ``manifest`` in temporary file names."""
    relative = Path(os.path.relpath(manifest, root)).as_posix()
    return hashlib.sha256(os.fsencode(relative)).hexdigest()[:16]


def _parts(folder: Path, token: str) -> list[Path]:
    """Return the temporary files of a song in ``folder``."""
    try:
        names = os.listdir(folder)  # a pattern for Path.glob would be compiled for each song
    except OSError:
        return []
    start = f"{_PREFIX}{token}-"
    return [folder / name for name in names if name.startswith(start) and name.endswith(_PART)]


def _remove_parts(folders: Iterable[Path], token: str) -> None:
    """Remove the temporary files of a song, which no process may be writing."""
    for folder in folders:
        for path in _parts(folder, token):
            with contextlib.suppress(OSError):
                path.unlink()
