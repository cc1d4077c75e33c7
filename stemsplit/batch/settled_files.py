"""Finds the files in a folder that are complete and no longer change."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Set
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from stemsplit.audio.decode import decode
from stemsplit.audio.probe import probe
from stemsplit.batch.discover import identity_of
from stemsplit.errors import InputError

#: Factor on the waiting time for a file that looks incomplete: exports pause, copies stall.
PATIENCE = 10
#: Extensions that browsers and copying programs use until a file is complete.
UNFINISHED = (".part", ".partial", ".crdownload", ".download", ".filepart", ".tmp")


@dataclass(slots=True)
class _Watched:
    """A file: its status at the last scan, since when it has had it, and how to treat it."""

    status: tuple[int, int, int]
    since: float  # s, of a monotonic clock
    doubtful: bool = False
    handled: bool = False


class SettledFiles:
    """The files in and below ``folder``, except in ``outputs``, and how long they have not changed.

    A file that has not changed for ``settle`` seconds is complete if it declares its length and can
    be decoded that far. Other files must not change for `PATIENCE` times as long.
    """

    def __init__(self, folder: Path, outputs: Path, *, settle: float) -> None:
        self._folder = folder
        self._outputs = outputs
        self._settle = settle
        # Keyed by strings: creating a Path for each would take longer than the scan itself.
        self._files: dict[str, _Watched] = {}

    def skip_existing(self) -> None:
        """Treat the files that exist now as handled."""
        for path, status in self._scan():
            self._files[path] = _Watched(status, 0.0, handled=True)

    def look(self, now: float) -> list[Path]:
        """Return the files that have not changed for long enough at ``now`` (s).

        Forgets files that are gone, and treats changed files as new.
        """
        before, self._files = self._files, {}
        for path, status in self._scan():
            known = before.get(path)
            same = known is not None and known.status == status
            self._files[path] = known if known and same else _Watched(status, now)
        return [
            Path(path)
            for path, file in self._files.items()
            if not file.handled
            and now - file.since >= self._settle * (PATIENCE if file.doubtful else 1)
        ]

    def choose(self, candidates: Iterable[Path], songs: Set[Path]) -> Iterator[Path]:
        """Yield the complete ``songs`` among ``candidates``, and mark them as handled."""
        for path in candidates:
            file = self._files[str(path)]
            if path in songs and not file.doubtful and not seems_complete(path):
                file.doubtful = True
                continue
            file.handled = True
            if path in songs:
                yield path

    def _scan(self) -> Iterator[tuple[str, tuple[int, int, int]]]:
        """Yield every file that may be a song, with the status that changes with each write."""
        seen = {identity_of(self._outputs)} - {identity_of(self._folder)}
        waiting = [self._folder]
        while waiting:
            folder = waiting.pop()
            if (identity := identity_of(folder)) is None or identity in seen:
                continue  # removed during the scan, or a loop of links
            seen.add(identity)
            place = "" if folder == Path() else str(folder)  # as a Path would write it
            with suppress(OSError), os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.startswith(".") or entry.name.lower().endswith(UNFINISHED):
                        continue
                    if entry.is_dir():
                        waiting.append(Path(entry.path))
                        continue
                    with suppress(OSError):  # removed during the scan, or a dangling link
                        status = entry.stat()
                        yield (
                            os.path.join(place, entry.name),
                            (status.st_size, status.st_mtime_ns, status.st_ino),
                        )


def seems_complete(path: Path) -> bool:
    """Return whether the audio file at ``path`` declares its length and can be decoded that far.

    While a WAV or FLAC file is being written, it contains a placeholder for its length; an Ogg file
    lacks its end-of-stream flag.
    """
    try:
        info = probe(path)
        if info.duration is None:
            return False
        with decode(info) as blocks:
            for _block in blocks:
                pass
            return blocks.has_end
    except InputError:
        return False
