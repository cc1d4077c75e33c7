"""Writes the manifest of a song, before and after its stems are moved to their places."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from stemsplit.audio.writable import output_error
from stemsplit.errors import InputError, OutputError
from stemsplit.outputs.manifest import (
    EarlierFile,
    InputFile,
    Manifest,
    StoredAudio,
    StoredFile,
    holds,
    place_of,
    relative_name,
    sha256_of,
    status_of,
    write,
)
from stemsplit.outputs.provenance import Provenance
from stemsplit.small_files import UnsuitableFile, read_small

#: The `status_of` files by path; None for a file that does not exist.
Statuses: TypeAlias = Mapping[Path, tuple[int, int, int] | None]


class ManifestWriter:
    """The manifest of one song while its stems are written.

    ``provenances`` are those of its outputs; ``known`` is the previous manifest, if it belongs to
    this song. A ``lasting`` song stays in its place after this process has ended; ``token`` is part
    of the names of temporary files. ``expected`` is the status of the files that may be replaced: a
    file whose status differs is not replaced. If it is None, every file may be replaced.
    """

    def __init__(
        self,
        path: Path,
        *,
        song: Path,
        source: InputFile,
        provenances: Mapping[str, Provenance],
        token: str,
        known: Manifest | None = None,
        lasting: bool = True,
        expected: Statuses | None = None,
    ) -> None:
        self.path = path
        self.token = token
        self._song = song
        self._source = source
        self._provenances = provenances
        self._known = known
        self._lasting = lasting
        self._expected = expected

    @contextlib.contextmanager
    def recording(
        self, targets: Mapping[str, Path], files: Mapping[str, Path], audio: StoredAudio
    ) -> Iterator[None]:
        """Record that the block moves ``files`` to ``targets``, before and after it runs.

        If the block fails, the previous manifest is restored. Raises ``InputError`` if the song has
        changed since it was identified, ``OutputError`` if a target has, and ``OutputError`` or
        ``ResourceError`` if the manifest cannot be written.
        """
        if status_of(self._song) != self._source.status:
            raise InputError("changed while it was being split", path=self._song)
        self._refuse_changed(targets)
        new, old = self._new_files(targets, files), _held(self._known, self.path.parent)
        before = self._content()
        write(self.path, self._manifest(new, old, audio, complete=False), self.token)
        try:
            yield
        except BaseException:
            self._restore(before)
            raise
        write(self.path, self._manifest(new, old, audio, complete=True), self.token)

    def _refuse_changed(self, targets: Mapping[str, Path]) -> None:
        """Raise ``OutputError`` if a target has changed since it was examined."""
        for path in targets.values():
            if self._expected is not None and self._expected.get(path) != status_of(path):
                raise OutputError("changed while the song was being split", path=path)

    def _content(self) -> bytes | None:
        """Return the content of the previous manifest; None if there is none."""
        try:
            return read_small(self.path)
        except (FileNotFoundError, UnsuitableFile):  # not a manifest
            return None
        except OSError as exc:
            raise output_error(exc, self.path) from exc

    def _new_files(
        self, targets: Mapping[str, Path], files: Mapping[str, Path]
    ) -> dict[str, StoredFile]:
        """Return the files that are about to be moved, by their names in the manifest."""
        new: dict[str, StoredFile] = {}
        for name, file in files.items():
            try:
                size, digest = file.stat().st_size, sha256_of(file)
            except OSError as exc:  # it was removed
                raise output_error(exc, targets[name]) from exc
            new[relative_name(targets[name], self.path.parent)] = StoredFile(
                stem=name, size=size, sha256=digest, provenance=self._provenances[name]
            )
        return new

    def _manifest(
        self,
        new: Mapping[str, StoredFile],
        old: Mapping[str, EarlierFile],
        audio: StoredAudio,
        *,
        complete: bool,
    ) -> Manifest:
        """Return the manifest with the ``new`` files, and the remaining ``old`` ones.

        Until the move is ``complete``, it also lists the old files that are being replaced.
        """
        outputs, earlier = dict(new), dict[str, EarlierFile]()
        for name, each in old.items():
            replaced = name in new
            if each.song == self._source.sha256 and not replaced:
                outputs[name] = each.file
            elif not (replaced and complete):
                earlier[name] = each
        return Manifest(
            input=self._source,
            audio=audio,
            outputs=dict(sorted(outputs.items())),
            complete=complete,
            earlier=dict(sorted(earlier.items())),
            place=place_of(self._song, self.path.parent) if self._lasting else None,
        )

    def _restore(self, before: bytes | None) -> None:
        with contextlib.suppress(OSError):
            if before is None:
                self.path.unlink()
            else:
                self.path.write_bytes(before)


def _held(known: Manifest | None, folder: Path) -> dict[str, EarlierFile]:
    """Return the files of the manifest ``known`` in ``folder`` that are still unchanged."""
    if known is None:
        return {}
    candidates = [
        *((name, each) for name, each in (known.earlier or {}).items()),
        *(
            (name, EarlierFile(song=known.input.sha256, file=file))
            for name, file in known.outputs.items()
        ),
    ]
    since = known.written if known.complete else None
    return {
        name: each
        for name, each in candidates
        if holds(folder / name, each.file, untouched_since=since)
    }


def finish_interrupted(path: Path, known: Manifest, token: str) -> None:
    """Complete the manifest ``known`` at ``path``, whose writer was interrupted.

    It then lists the stems that are in their places. Raises ``OutputError`` and ``ResourceError``.
    """
    held = _held(known, path.parent)
    song = known.input.sha256
    outputs = {name: each.file for name, each in held.items() if each.song == song}
    earlier = {name: each for name, each in held.items() if each.song != song}
    write(path, replace(known, outputs=outputs, earlier=earlier, complete=True), token)
