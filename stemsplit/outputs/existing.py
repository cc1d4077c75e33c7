"""The state of a song's existing outputs, according to the manifest beside them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from stemsplit.outputs.manifest import InputFile, Manifest, holds, relative_name
from stemsplit.outputs.provenance import Provenance

#: ``missing``: does not exist. ``current``: identical to what would be written. ``interrupted``: a
#: run was about to replace it with that. ``song_changed``: made before the song changed.
#: ``made_otherwise``: made with another model or other settings. ``other_song``: made from another
#: song. ``edited``: changed since it was written. ``foreign``: not listed in the manifest.
State: TypeAlias = Literal[
    "missing",
    "current",
    "interrupted",
    "song_changed",
    "made_otherwise",
    "other_song",
    "edited",
    "foreign",
]


@dataclass(frozen=True, slots=True)
class ExistingFile:
    """The ``state`` of an output; ``made`` is how the file was made, if known."""

    state: State
    made: Provenance | None = None


def without_manifest(outputs: Mapping[str, Path]) -> dict[str, ExistingFile]:
    """Return the state of ``outputs`` that are not listed in any manifest."""
    return {
        name: ExistingFile("foreign" if os.path.lexists(path) else "missing")
        for name, path in outputs.items()
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """Compares files with the manifest ``known`` in ``folder``.

    ``source`` is the song in its current state, and ``place`` its location, if it has a lasting
    one.
    """

    known: Manifest
    folder: Path
    source: InputFile
    place: str | None

    def examine(self, path: Path, wanted: Provenance) -> ExistingFile:
        """Return the state of the file at ``path``, whose provenance should be ``wanted``.

        Only a ``current`` file may be considered untouched by its time stamp; all others, which may
        be replaced, are hashed.
        """
        if not os.path.lexists(path):
            return ExistingFile("missing")
        known, name = self.known, relative_name(path, self.folder)
        same_song = known.input.sha256 == self.source.sha256
        new = known.outputs.get(name)
        is_wanted = new is not None and same_song and wanted.matches(new.provenance)
        since = known.written if known.complete and is_wanted else None
        if new is not None and holds(path, new, untouched_since=since):
            return ExistingFile(
                "current" if is_wanted else self._unwanted(known.input.sha256), new.provenance
            )
        old = (known.earlier or {}).get(name)
        if old is not None and holds(path, old.file):
            made = old.file.provenance
            if is_wanted:
                return ExistingFile("interrupted", made)
            again = old.song == self.source.sha256 and wanted.matches(made)
            return ExistingFile("current" if again else self._unwanted(old.song), made)
        if is_wanted and self._predates(path):
            return ExistingFile("interrupted")
        return ExistingFile("foreign" if new is None and old is None else "edited")

    def _unwanted(self, song: str) -> State:
        """Return why a file made from the ``song`` with this SHA-256 is not ``current``."""
        if song == self.source.sha256:
            return "made_otherwise"
        return "song_changed" if self.known.is_of(self.source, self.place) else "other_song"

    def _predates(self, path: Path) -> bool:
        """Return whether an interrupted run of an older version was about to replace ``path``.

        The manifest of such a run does not list the old files, but is newer than they are.
        """
        known = self.known
        if known.complete or known.earlier is not None:
            return False
        try:
            return path.stat().st_mtime_ns <= known.written
        except OSError:
            return False
