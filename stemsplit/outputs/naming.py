"""Where stems are written: the name template, names that are safe everywhere, and collisions.

All of this follows from the names, before any work starts.
"""

from __future__ import annotations

import os
import string
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from stemsplit.audio.format_table import FORMATS, formats_named_by
from stemsplit.errors import UsageError
from stemsplit.options import DEFAULT_TEMPLATE
from stemsplit.outputs.manifest import NAME, name_for
from stemsplit.types import Format

#: A file that holds all stems of a song has the name of the song.
STEM_FILE_TEMPLATE = "{track}.{ext}"
VARIABLES = ("track", "trackext", "stem", "ext", "model")

#: Characters that some file systems refuse, or some shells or players cannot handle.
_UNSAFE = frozenset('/\\:*?"<>|')
#: Names that Windows reserves for devices, with any suffix.
_RESERVED = frozenset(
    {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
)
#: The most bytes in one component of a path, on most file systems.
LONGEST_COMPONENT = 255
#: The most bytes of a track's name, which leaves room for stem and suffixes.
_LONGEST = 180
#: Not printable on their own, but part of emoji: the joiner, and the variation selector.
_IN_EMOJI = "\u200d\ufe0f"


def safe_name(name: str) -> str:
    """Return ``name`` as one path component that every file system accepts.

    Separators, control characters and undecodable bytes become ``_``; trailing dots and spaces are
    removed; ``.``, ``..``, device names of Windows and empty names get a leading ``_``.
    """
    safe = "".join(
        "_" if char in _UNSAFE or not (char.isprintable() or char in _IN_EMOJI) else char
        for char in name
    )
    safe = safe.encode()[:_LONGEST].decode(errors="ignore").rstrip(". ")
    if not safe or safe.partition(".")[0].lower() in _RESERVED:
        return f"_{safe}"
    return safe


def template_for(template: str | None, format: Format) -> str:
    """Return ``template``; if it is None or the general default, return that of ``format``."""
    if template is None or template == DEFAULT_TEMPLATE:
        return STEM_FILE_TEMPLATE if FORMATS[format].holds_all_stems else DEFAULT_TEMPLATE
    return template


def check_template(template: str, stems: Sequence[str]) -> None:
    """Raise ``UsageError`` unless ``template`` results in one file per stem, inside the folder."""
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as exc:
        raise UsageError(f"template {template!r}: {exc}") from exc
    fields = [field for _, field, _, _ in parts if field is not None]
    if any(form or conversion for _, _, form, conversion in parts):
        raise UsageError(
            f"template {template!r}: variables are plain names in braces",
            hint="write {track}, not {track:.10} or {track!r}",
        )
    if any(not char.isprintable() or char == "\\" for char in template):
        raise UsageError(f"template {template!r}: backslashes and control characters are refused")
    for field in fields:
        if field not in VARIABLES:
            raise UsageError(
                f"template {template!r}: no variable {{{field}}}",
                hint="the variables are: " + ", ".join(f"{{{name}}}" for name in VARIABLES),
            )
    if len(stems) > 1 and "stem" not in fields:
        raise UsageError(
            f"template {template!r}: all stems would go to one file", hint="add {stem} to the name"
        )
    if not template or template.endswith("/"):
        raise UsageError(f"template {template!r} names a folder, not a file")
    if Path(template).is_absolute() or ".." in Path(template).parts:
        raise UsageError(
            f"template {template!r} leaves the output folder", hint="choose the folder with --out"
        )


def check_extension(template: str, format: Format) -> bool:
    """Return whether the files that ``template`` names have the extension of ``format``.

    Raises ``UsageError`` if they have that of another format, which other programs would believe.
    """
    named = formats_named_by(template)
    if template.endswith(".{ext}") or format in named:
        return True
    if named:
        raise UsageError(
            f"template {template!r} names .{FORMATS[named[0]].extension} files, "
            f"but the format is {format}",
            hint="end the name with .{ext}, or choose another --format",
        )
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputNames:
    """The names of the files of the input ``track`` in ``folder``, from a checked ``template``.

    ``{track}`` is the input's name without its extension, or ``name``, which must be safe.
    """

    track: Path
    folder: Path
    template: str
    extension: str
    model: str
    name: str | None = None

    def of_stems(self, stems: Sequence[str]) -> dict[str, Path]:
        """Return the path of each of ``stems``.

        Raises ``UsageError`` for a name that is too long for file systems.
        """
        values = self._values
        names = {stem: self.template.format(stem=safe_name(stem), **values) for stem in stems}
        for name in names.values():
            if any(len(os.fsencode(part)) > LONGEST_COMPONENT for part in Path(name).parts):
                raise UsageError(
                    f"template {self.template!r} results in a name that is too long: {name}"
                )
        return {stem: self.folder / name for stem, name in names.items()}

    def of_manifest(self) -> Path:
        """Return the path of the manifest, in the `_shared` folder, regardless of the stems.

        If that folder may contain other songs, the name of the manifest includes the track.
        """
        own = any("{track}" in part for part in self._shared)
        return self._beside(NAME if own else name_for(self._values["track"]))

    def of_project(self, suffix: str) -> Path:
        """Return the path of a project of the stems with the extension ``suffix``."""
        return self._beside(f"{self._values['track']}.{suffix}")

    def _beside(self, name: str) -> Path:
        return self.folder.joinpath(*(part.format(**self._values) for part in self._shared), name)

    @property
    def _shared(self) -> list[str]:
        """The folders in the template that all stems of a song share."""
        return list(takewhile(lambda part: "{stem}" not in part, Path(self.template).parts[:-1]))

    @property
    def _values(self) -> dict[str, str]:
        return {
            "track": safe_name(self.track.stem) if self.name is None else self.name,
            "trackext": safe_name(self.track.suffix.lstrip(".")),
            "ext": self.extension,
            "model": safe_name(self.model),
        }


def safe_folder(folder: Path) -> Path:
    """Return the relative ``folder`` with names that every file system accepts."""
    return Path(*(safe_name(part) for part in folder.parts))


class Places:
    """Identifies files by location, resolving links in their folders; caches each folder."""

    def __init__(self) -> None:
        self._folders: dict[Path, str] = {}

    def of(self, path: Path) -> str:
        """Return a key that is equal for all paths of the same file; a link is not followed.

        Names that differ only in case, or in the encoding of accents, get the same key: they are
        the same file on macOS and Windows, and the paths of stems must not depend on the system.
        """
        folder = path.parent
        if folder not in self._folders:
            self._folders[folder] = str(folder.resolve())
        text = os.path.join(self._folders[folder], path.name)
        if text.isascii():
            return text.casefold()
        return unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).casefold())


def clashes(plans: Mapping[Path, Iterable[Path]], places: Places) -> set[Path]:
    """Return the inputs of ``plans`` that would write the same file as another input."""
    writers: dict[str, set[Path]] = {}
    for source, outputs in plans.items():
        for output in outputs:
            writers.setdefault(places.of(output), set()).add(source)
    return {source for sources in writers.values() if len(sources) > 1 for source in sources}


def check_collisions(plans: Mapping[Path, Iterable[Path]], places: Places) -> None:
    """Raise ``UsageError`` if two inputs would write the same file, or one overwrite an input.

    ``plans`` maps each input to the files that it will write.
    """
    inputs = {places.of(place): path for path in plans for place in (path, path.resolve())}
    owner: dict[str, Path] = {}
    for source, outputs in plans.items():
        for output in outputs:
            place = places.of(output)
            if place in inputs:
                raise UsageError(
                    f"{output}: the output would overwrite the input {inputs[place]}",
                    hint="choose another folder with --out",
                )
            if owner.setdefault(place, source) != source:
                raise UsageError(
                    f"{owner[place]} and {source} would both write {output}",
                    hint="add {track} to the name, as in --filename '{track}/{stem}.{ext}'",
                )
