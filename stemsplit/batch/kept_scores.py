"""The saved scores of a data set: one JSON file per song, reused by later runs."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from filelock import FileLock

from stemsplit.audio.atomic import write_text
from stemsplit.audio.detect import has_media_name
from stemsplit.audio.writable import output_error
from stemsplit.data.layouts import SongStems
from stemsplit.evaluation.report.records import from_json, to_json
from stemsplit.evaluation.scores import SongScores
from stemsplit.small_files import LARGEST_LIST, parse_json, read_small


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptScores:
    """Scores that are valid while the ``circumstances`` and the files of a song are unchanged.

    If ``with_stems``, they are only valid while the estimated stems still exist.
    """

    folder: Path
    circumstances: Mapping[str, Any]  # as JSON values
    with_stems: bool = False

    def settings(self, song: SongStems) -> dict[str, Any]:
        """Return everything that affects the scores of ``song``, as JSON values."""
        return {**self.circumstances, "files": _identify(song.path)}

    def find(self, name: str, settings: Mapping[str, Any]) -> SongScores | None:
        """Return the scores that an earlier run saved; None if there are no valid ones."""
        try:
            kept = from_json(parse_json(read_small(self._record(name), LARGEST_LIST)))
        except (OSError, ValueError):
            return None
        files = [path for audio in kept.estimates.values() for path in audio.paths]
        if self.with_stems and not (files and all(path.is_file() for path in files)):
            return None
        # Records of versions without this option were made with its default.
        return kept if {"bss_eval": "own", **kept.settings} == settings else None

    def holds(self, name: str, settings: Mapping[str, Any]) -> bool:
        """Return whether `find` returns scores."""
        return self.find(name, settings) is not None

    def keep(self, name: str, scores: SongScores) -> None:
        """Save the scores of a song."""
        write_text(self._record(name), json.dumps(to_json(scores), allow_nan=False))

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Prevent other processes from scoring a song and from removing its stems.

        Raises ``OutputError`` if the folder cannot be written.
        """
        path = self.folder / f".scoring-{sha256(os.fsencode(name)).hexdigest()[:16]}.lock"
        lock = FileLock(path)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except OSError as exc:
            raise output_error(exc, self.folder) from exc
        try:
            yield
        finally:
            # Before the release: a process that waits for this lock then notices the removal
            # and locks a new file.
            with contextlib.suppress(OSError):
                path.unlink()
            lock.release()

    def _record(self, name: str) -> Path:
        return self.folder / f"{name}.json"


def _identify(song: Path) -> dict[str, list[int]]:
    """Return the size and modification time (ns) of each file of ``song``, by name."""
    files = [song] if song.is_file() else [each for each in song.iterdir() if each.is_file()]
    states = {file.name: file.stat() for file in sorted(files) if has_media_name(file.name)}
    return {name: [state.st_size, state.st_mtime_ns] for name, state in states.items()}
