"""What is known of the stems of a song: a file beside them tells what they were made of, and how.

Nothing in it depends on when or how fast they were made: two runs that make the same stems write
the same manifest. It is written twice, before the stems move to their places and after that; in
between it says so, and whoever finds it then believes nothing without looking.
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
from stemsplit.version import __version__

NAME = ".stemsplit.json"
SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """An input, as its content tells: a file that was moved or touched is the same."""

    name: str
    size: int
    sha256: str
    status: tuple[int, int, int] | None = field(default=None, compare=False)  # of the file, now


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What a stem is made with; everything that changes its bytes, but the input."""

    model: str
    digest: str  # SHA-256 of the networks and their weights
    parts: dict[str, float]  # of which stems of the model, or of the song, how much
    settings: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One stem, as it was written."""

    stem: str
    size: int
    sha256: str
    recipe: Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Audio:
    """How long the stems are, in frames at ``sample_rate`` (Hz) and in seconds."""

    sample_rate: int
    channels: int
    frames: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The stems of one input; ``outputs`` by their paths relative to the manifest's folder.

    Unless ``complete`` its writer was on the point of moving them, and may not have come to it.
    """

    input: Source
    audio: Audio
    outputs: dict[str, Output] = field(default_factory=dict)
    complete: bool = True
    written: int = field(default=0, compare=False)  # when, in ns, as the file system knows

    def lists(self, path: Path, folder: Path) -> bool:
        """Return whether ``path`` is one of the outputs; ``folder`` is that of the manifest."""
        return _relative(path, folder) in self.outputs


def name_for(track: str) -> str:
    """Return the name of a manifest in a folder that stems of several songs share."""
    return f".{track}{NAME}"


def outputs_in(folder: Path, names: Iterable[str]) -> set[Path]:
    """Return the stems of which the manifests among ``names`` in ``folder`` tell."""
    found: set[Path] = set()
    for name in names:
        if name.endswith(NAME):
            with contextlib.suppress(InputError):
                known = read(folder / name)
                found |= {folder / path for path in known.outputs} if known else set()
    return found


def identify(path: Path) -> Source:
    """Return who the file at ``path`` is; raises ``InputError`` if it cannot be read."""
    try:
        status = status_of(path)
        return Source(name=path.name, size=path.stat().st_size, sha256=_digest(path), status=status)
    except OSError as exc:
        raise InputError(f"cannot be read: {exc.strerror}", path=path) from exc


def read(path: Path) -> Manifest | None:
    """Return the manifest at ``path``, or None if there is none.

    Raises ``InputError`` for one that is damaged, or of a later program.
    """
    try:
        content = json.loads(path.read_bytes())
        if content["schema"] != SCHEMA:
            raise ValueError("schema")
        outputs = {
            str(name): Output(**(values | {"recipe": Recipe(**values["recipe"])}))
            for name, values in content["outputs"].items()
        }
        return Manifest(
            input=Source(**content["input"]),
            audio=Audio(**content["audio"]),
            outputs=outputs,
            complete=content["complete"] is True,
            written=path.stat().st_mtime_ns,
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as exc:
        raise InputError("this manifest is damaged, and taken for none", path=path) from exc


def is_up_to_date(
    known: Manifest, folder: Path, path: Path, source: Source, recipe: Recipe
) -> bool:
    """Return whether ``path`` holds what ``recipe`` makes of ``source``, by the manifest ``known``.

    ``folder`` is that of the manifest. A stem that was touched after it was written is hashed.
    """
    output = known.outputs.get(_relative(path, folder))
    if output is None or output.recipe != recipe or known.input.sha256 != source.sha256:
        return False
    try:
        status = path.stat()
        if status.st_size != output.size:
            return False
        return (known.complete and status.st_mtime_ns <= known.written) or _digest(
            path
        ) == output.sha256
    except OSError:
        return False


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class ManifestWriter:
    """The manifest of one song while its stems are written.

    ``recipes`` are those of the stems; ``known`` is what was known before; ``mark`` is in the names
    of temporary files.
    """

    def __init__(
        self,
        path: Path,
        *,
        song: Path,
        source: Source,
        recipes: Mapping[str, Recipe],
        known: Manifest | None = None,
        mark: str,
    ) -> None:
        self.path = path
        self.mark = mark
        self._song = song
        self._source = source
        self._recipes = recipes
        self._known = known

    @contextlib.contextmanager
    def recording(
        self, targets: Mapping[str, Path], files: Mapping[str, Path], audio: Audio
    ) -> Iterator[None]:
        """Write down, around the block that does it, that ``files`` move to ``targets``.

        If the block fails, the manifest is what it was before. Raises ``InputError`` if the song is
        not what it was when it was identified, and ``OutputError`` or ``ResourceError`` if the
        manifest cannot be written.
        """
        if status_of(self._song) != self._source.status:
            raise InputError("was changed while it was split", path=self._song)
        manifest = self._foretell(targets, files, audio)
        before = self._stored()
        _write(self.path, replace(manifest, complete=False), self.mark)
        try:
            yield
        except BaseException:
            self._restore(before)
            raise
        _write(self.path, manifest, self.mark)

    def _stored(self) -> bytes | None:
        """Return what stands in the place of the manifest, whatever it is; None: nothing."""
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise output_error(exc, self.path) from exc

    def _foretell(
        self, targets: Mapping[str, Path], files: Mapping[str, Path], audio: Audio
    ) -> Manifest:
        folder = self.path.parent
        outputs = self._still_true(folder)
        for stem, file in files.items():
            try:
                size, digest = file.stat().st_size, _digest(file)
            except OSError as exc:  # somebody has removed it
                raise output_error(exc, targets[stem]) from exc
            outputs[_relative(targets[stem], folder)] = Output(
                stem=stem, size=size, sha256=digest, recipe=self._recipes[stem]
            )
        return Manifest(input=self._source, audio=audio, outputs=dict(sorted(outputs.items())))

    def _restore(self, before: bytes | None) -> None:
        with contextlib.suppress(OSError):
            if before is None:
                self.path.unlink()
            else:
                self.path.write_bytes(before)

    def _still_true(self, folder: Path) -> dict[str, Output]:
        """Return the outputs of earlier runs that are what the manifest says of them."""
        known = self._known
        if known is None or known.input.sha256 != self._source.sha256:
            return {}
        return _true_outputs(known, folder)


def finish_interrupted(path: Path, known: Manifest, mark: str) -> None:
    """Write that the stems that ``known`` tells of are in their places, as far as they are.

    Their writer was stopped before it could. Raises ``OutputError`` and ``ResourceError``.
    """
    outputs = _true_outputs(known, path.parent)
    _write(path, replace(known, outputs=outputs, complete=True), mark)


def _true_outputs(known: Manifest, folder: Path) -> dict[str, Output]:
    return {
        name: output
        for name, output in known.outputs.items()
        if is_up_to_date(known, folder, folder / name, known.input, output.recipe)
    }


def _write(path: Path, manifest: Manifest, mark: str) -> None:
    content: dict[str, Any] = {"schema": SCHEMA, "version": __version__} | asdict(manifest)
    del content["written"], content["input"]["status"]
    temporary = path.with_name(f".stemsplit-{mark}-manifest.part")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            json.dump(content, file, indent=1)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError as exc:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise output_error(exc, path) from exc


def status_of(path: Path) -> tuple[int, int, int] | None:
    """Return what changes when somebody writes to ``path``, or puts something else there."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ino
