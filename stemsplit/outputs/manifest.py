"""The manifest of a song's stems: a file beside them that says what they were made of, and how.

Nothing in it depends on when or how fast they were made: two runs that make the same stems write
the same manifest. It is written twice, before the stems move to their places and after that. In
between it is marked as incomplete, and whoever finds it so checks every stem.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from stemsplit.audio.atomic import sync_folder
from stemsplit.audio.writable import output_error
from stemsplit.errors import InputError
from stemsplit.small_files import UnsuitableFile, open_regular, parse_json, read_small
from stemsplit.version import __version__

NAME = ".stemsplit.json"
SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFile:
    """An input, identified by its content: a file that was moved or touched is the same."""

    name: str
    size: int
    sha256: str
    status: tuple[int, int, int] | None = field(default=None, compare=False)  # of the file, now


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Everything besides the input that decides the bytes of a stem.

    ``defaults`` are the values that settings have unless somebody chooses another one. A manifest
    that lacks a setting is older than the option, and was made with its default.
    """

    model: str
    digest: str  # SHA-256 of the networks and their weights
    parts: dict[str, float]  # the gain of each source, and of the mix, in it
    settings: dict[str, Any]
    defaults: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def matches(self, recorded: Provenance) -> bool:
        """Return whether a stem that was ``recorded`` so is what this would make."""
        return self == replace(recorded, settings=_filled(recorded.settings, self.defaults))


def _filled(settings: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``settings``, and ``defaults`` where it has none; the same in the tables inside."""
    filled = dict(settings)
    for name, default in defaults.items():
        if name not in filled:
            filled[name] = default
        elif isinstance(default, Mapping) and isinstance(filled[name], Mapping):
            filled[name] = _filled(filled[name], default)
    return filled


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """One stem or project, as it was written."""

    stem: str
    size: int
    sha256: str
    provenance: Provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAudio:
    """The length of the stems, in frames at ``sample_rate`` (Hz) and in seconds."""

    sample_rate: int
    channels: int
    frames: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The stems of one input; ``outputs`` by their paths relative to the manifest's folder.

    Unless ``complete`` its writer was about to move them, and may have been stopped.
    """

    input: InputFile
    audio: StoredAudio
    outputs: dict[str, StoredFile] = field(default_factory=dict)
    complete: bool = True
    written: int = field(default=0, compare=False)  # when, in ns, by the clock of the file system

    def lists(self, path: Path, folder: Path) -> bool:
        """Return whether ``path`` is one of the outputs; ``folder`` is that of the manifest."""
        return _relative(path, folder) in self.outputs


def name_for(track: str) -> str:
    """Return the name of a manifest in a folder that stems of several songs share."""
    return f".{track}{NAME}"


def outputs_in(folder: Path, names: Iterable[str]) -> set[Path]:
    """Return the stems that the manifests among ``names`` in ``folder`` list."""
    found: set[Path] = set()
    for name in names:
        if name.endswith(NAME):
            with contextlib.suppress(InputError):
                known = read(folder / name)
                found |= {folder / path for path in known.outputs} if known else set()
    return found


def identify(path: Path) -> InputFile:
    """Return the identity of the file at ``path``; raises ``InputError`` if it cannot be read."""
    try:
        status = status_of(path)
        size, digest = path.stat().st_size, _digest(path)
        return InputFile(name=path.name, size=size, sha256=digest, status=status)
    except OSError as exc:
        raise InputError(f"cannot be read: {exc.strerror}", path=path) from exc


def read(path: Path) -> Manifest | None:
    """Return the manifest at ``path``, or None if there is none.

    Raises ``InputError`` for one that is damaged, or of a later program.
    """
    try:
        content = parse_json(read_small(path))
        if content["schema"] != SCHEMA:
            raise ValueError("schema")
        return Manifest(
            input=InputFile(**content["input"]),
            audio=StoredAudio(**content["audio"]),
            outputs={str(name): _stored(values) for name, values in content["outputs"].items()},
            complete=content["complete"] is True,
            written=path.stat().st_mtime_ns,
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as exc:
        raise InputError("damaged manifest, ignored", path=path) from exc


def _stored(values: Mapping[str, Any]) -> StoredFile:
    others = {key: value for key, value in values.items() if key != "recipe"}
    provenance = Provenance(**values["recipe"])
    if not isinstance(provenance.settings, dict):
        raise TypeError("settings")
    return StoredFile(**others, provenance=provenance)


def is_up_to_date(
    known: Manifest, folder: Path, path: Path, source: InputFile, provenance: Provenance
) -> bool:
    """Return whether ``path`` holds what ``provenance`` makes of ``source``, by ``known``.

    ``folder`` is that of the manifest. A stem that was touched after it was written is hashed.
    """
    output = known.outputs.get(_relative(path, folder))
    if output is None or not provenance.matches(output.provenance):
        return False
    if known.input.sha256 != source.sha256:
        return False
    try:
        status = path.stat()
        if status.st_size != output.size:
            return False
        untouched = known.complete and status.st_mtime_ns <= known.written
        return untouched or _digest(path) == output.sha256
    except (OSError, ValueError):  # ValueError: a name that no file can have
        return False


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()


def _digest(path: Path) -> str:
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class ManifestWriter:
    """The manifest of one song while its stems are written.

    ``provenances`` are those of its outputs, ``known`` is the manifest before; ``token`` is in the
    names of temporary files.
    """

    def __init__(
        self,
        path: Path,
        *,
        song: Path,
        source: InputFile,
        provenances: Mapping[str, Provenance],
        known: Manifest | None = None,
        token: str,
    ) -> None:
        self.path = path
        self.token = token
        self._song = song
        self._source = source
        self._provenances = provenances
        self._known = known

    @contextlib.contextmanager
    def recording(
        self, targets: Mapping[str, Path], files: Mapping[str, Path], audio: StoredAudio
    ) -> Iterator[None]:
        """Record, around the block that does it, that ``files`` move to ``targets``.

        If the block fails, the manifest is what it was before. Raises ``InputError`` if the song
        has changed since it was identified, and ``OutputError`` or ``ResourceError`` if the
        manifest cannot be written.
        """
        if status_of(self._song) != self._source.status:
            raise InputError("was changed while it was split", path=self._song)
        manifest = self._after_moving(targets, files, audio)
        before = self._content()
        _write(self.path, replace(manifest, complete=False), self.token)
        try:
            yield
        except BaseException:
            self._restore(before)
            raise
        _write(self.path, manifest, self.token)

    def _content(self) -> bytes | None:
        """Return the bytes in the place of the manifest, if they may be one; None: nothing."""
        try:
            return read_small(self.path)
        except (FileNotFoundError, UnsuitableFile):  # nothing that was a manifest
            return None
        except OSError as exc:
            raise output_error(exc, self.path) from exc

    def _after_moving(
        self, targets: Mapping[str, Path], files: Mapping[str, Path], audio: StoredAudio
    ) -> Manifest:
        folder = self.path.parent
        outputs = self._still_valid(folder)
        for name, file in files.items():
            try:
                size, digest = file.stat().st_size, _digest(file)
            except OSError as exc:  # somebody has removed it
                raise output_error(exc, targets[name]) from exc
            outputs[_relative(targets[name], folder)] = StoredFile(
                stem=name, size=size, sha256=digest, provenance=self._provenances[name]
            )
        return Manifest(input=self._source, audio=audio, outputs=dict(sorted(outputs.items())))

    def _restore(self, before: bytes | None) -> None:
        with contextlib.suppress(OSError):
            if before is None:
                self.path.unlink()
            else:
                self.path.write_bytes(before)

    def _still_valid(self, folder: Path) -> dict[str, StoredFile]:
        """Return the outputs of earlier runs that are still what the manifest says."""
        known = self._known
        if known is None or known.input.sha256 != self._source.sha256:
            return {}
        return _valid_outputs(known, folder)


def finish_interrupted(path: Path, known: Manifest, token: str) -> None:
    """Complete the manifest ``known`` at ``path`` with those stems that are in their places.

    Its writer was stopped before it could. Raises ``OutputError`` and ``ResourceError``.
    """
    outputs = _valid_outputs(known, path.parent)
    _write(path, replace(known, outputs=outputs, complete=True), token)


def _valid_outputs(known: Manifest, folder: Path) -> dict[str, StoredFile]:
    return {
        name: output
        for name, output in known.outputs.items()
        if is_up_to_date(known, folder, folder / name, known.input, output.provenance)
    }


def _write(path: Path, manifest: Manifest, token: str) -> None:
    temporary = path.with_name(f".stemsplit-{token}-manifest.part")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            json.dump(_to_json(manifest), file, indent=1)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError as exc:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise output_error(exc, path) from exc


def _to_json(manifest: Manifest) -> dict[str, Any]:
    """Return ``manifest`` as it is stored; the keys are a contract."""
    source = manifest.input
    return {
        "schema": SCHEMA,
        "version": __version__,
        "input": {"name": source.name, "size": source.size, "sha256": source.sha256},
        "audio": asdict(manifest.audio),
        "outputs": {name: _file_to_json(file) for name, file in manifest.outputs.items()},
        "complete": manifest.complete,
    }


def _file_to_json(file: StoredFile) -> dict[str, Any]:
    provenance = file.provenance
    return {
        "stem": file.stem,
        "size": file.size,
        "sha256": file.sha256,
        "recipe": {
            "model": provenance.model,
            "digest": provenance.digest,
            "parts": provenance.parts,
            "settings": provenance.settings,
        },
    }


def status_of(path: Path) -> tuple[int, int, int] | None:
    """Return what changes when somebody writes to ``path``, or puts something else there."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ino
