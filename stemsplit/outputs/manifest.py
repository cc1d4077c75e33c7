"""The manifest of a song's stems: a file beside them that records how they were made.

It does not depend on when or how fast they were made: two runs that make the same stems write the
same manifest. It is written twice, before and after the stems are moved to their places. In between
it is marked as incomplete, and lists the old files as well as the new ones.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from stemsplit.audio.atomic import sync_folder
from stemsplit.audio.writable import output_error
from stemsplit.errors import InputError
from stemsplit.outputs.provenance import Provenance
from stemsplit.small_files import open_regular, parse_json, read_small
from stemsplit.version import __version__

NAME = ".stemsplit.json"
SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFile:
    """An input, identified by its content: a file that was moved or touched stays the same."""

    name: str
    size: int
    sha256: str
    status: tuple[int, int, int] | None = field(default=None, compare=False)  # see `status_of`


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """One stem or project as it was written."""

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
class EarlierFile:
    """A file that was made before the outputs, from a song with this SHA-256."""

    song: str
    file: StoredFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The stems of one input; ``outputs`` by their paths relative to the manifest's folder.

    If it is not ``complete``, its writer was about to move them, and may have been interrupted.
    ``earlier`` lists, by path, the files that they replace, and those made from this song before it
    changed; None if the manifest is of a version that did not record them. ``place`` is a digest of
    the input's location relative to the manifest.
    """

    input: InputFile
    audio: StoredAudio
    outputs: dict[str, StoredFile] = field(default_factory=dict)
    complete: bool = True
    earlier: dict[str, EarlierFile] | None = field(default_factory=dict)
    place: str | None = None
    written: int = field(default=0, compare=False)  # when, in ns, by the clock of the file system

    def lists(self, path: Path, folder: Path) -> bool:
        """Return whether ``path`` is listed; ``folder`` is that of the manifest."""
        name = relative_name(path, folder)
        return name in self.outputs or name in (self.earlier or ())

    def is_of(self, source: InputFile, place: str | None) -> bool:
        """Return whether the stems were made from ``source``, or from its earlier content.

        Another file of the same name is a different song if it is in a different ``place``, or has
        none, like one from standard input.
        """
        if self.input.sha256 == source.sha256:
            return True
        same_place = place is not None and self.place in (None, place)
        return same_place and self.input.name == source.name


def name_for(track: str) -> str:
    """Return the name of a manifest in a folder with the stems of several songs."""
    return f".{track}{NAME}"


def outputs_in(folder: Path, names: Iterable[str]) -> set[Path]:
    """Return the stems that the manifests among ``names`` in ``folder`` list."""
    found: set[Path] = set()
    for name in names:
        if name.endswith(NAME):
            with contextlib.suppress(InputError):
                if known := read(folder / name):
                    found |= {folder / path for path in (*known.outputs, *(known.earlier or ()))}
    return found


def identify(path: Path) -> InputFile:
    """Return the identity of the file at ``path``; raises ``InputError`` if it cannot be read."""
    try:
        status = status_of(path)
        size, digest = path.stat().st_size, sha256_of(path)
        return InputFile(name=path.name, size=size, sha256=digest, status=status)
    except OSError as exc:
        raise InputError(f"cannot be read: {exc.strerror}", path=path) from exc


def read(path: Path) -> Manifest | None:
    """Read the manifest at ``path``; return None if it does not exist.

    Raises ``InputError`` if it is damaged, or written by a later version.
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
            earlier=_earlier(content),
            place=content.get("place"),
            written=path.stat().st_mtime_ns,
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as exc:
        raise InputError("damaged manifest, ignored", path=path) from exc


def _stored(values: Mapping[str, Any]) -> StoredFile:
    others = {key: values[key] for key in ("stem", "size", "sha256")}
    keys = ("model", "digest", "parts", "settings")
    provenance = Provenance(**{key: values["recipe"][key] for key in keys})
    if not isinstance(provenance.settings, dict):
        raise TypeError("settings")
    return StoredFile(**others, provenance=provenance)


def _earlier(content: Mapping[str, Any]) -> dict[str, EarlierFile] | None:
    if "earlier" not in content:
        return None
    return {
        str(name): EarlierFile(song=values["song"], file=_stored(values))
        for name, values in content["earlier"].items()
    }


def holds(path: Path, file: StoredFile, *, untouched_since: int | None = None) -> bool:
    """Return whether the file at ``path`` is still ``file``.

    It is hashed, unless it was last modified before ``untouched_since`` (ns).
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size != file.size:
            return False
        untouched = untouched_since is not None and status.st_mtime_ns <= untouched_since
        return untouched or sha256_of(path) == file.sha256
    except (OSError, ValueError):  # ValueError: a name that no file can have
        return False


def relative_name(path: Path, folder: Path) -> str:
    """Return the name of the file at ``path`` in a manifest in ``folder``."""
    if path.parent == folder:
        return path.name
    return Path(os.path.relpath(path, folder)).as_posix()


def place_of(song: Path, folder: Path) -> str:
    """Return the digest of the location of ``song`` for a manifest in ``folder``.

    It stays the same if both are moved together.
    """
    directory, base = os.path.realpath(song.parent), os.path.realpath(folder)
    try:
        place = Path(os.path.relpath(directory, base)).as_posix()
    except ValueError:  # on another drive
        place = directory
    return hashlib.sha256(os.fsencode(f"{place}/{song.name}")).hexdigest()[:16]


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of the file at ``path``; raises ``OSError``."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write(path: Path, manifest: Manifest, token: str) -> None:
    """Write ``manifest`` to ``path`` atomically; ``token`` is part of the temporary name.

    Raises ``OutputError``, and ``ResourceError`` for a full disk.
    """
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
    earlier = {
        name: {"song": each.song, **_file_to_json(each.file)}
        for name, each in (manifest.earlier or {}).items()
    }
    return {
        "schema": SCHEMA,
        "version": __version__,
        "input": {"name": source.name, "size": source.size, "sha256": source.sha256},
        "audio": asdict(manifest.audio),
        "outputs": {name: _file_to_json(file) for name, file in manifest.outputs.items()},
        "complete": manifest.complete,
        **({"place": manifest.place} if manifest.place is not None else {}),
        **({"earlier": earlier} if earlier or not manifest.complete else {}),
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
    """Return size, time and inode of ``path``, which change when it is written to or replaced.

    None if it does not exist.
    """
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ino
