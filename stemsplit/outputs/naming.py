"""Where stems go: the name template, names that are safe anywhere, and collisions.

Everything here is decided before any work starts, from names alone.
"""

from __future__ import annotations

import os
import string
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from stemsplit.audio.format_table import FORMATS
from stemsplit.errors import UsageError
from stemsplit.options import DEFAULT_TEMPLATE
from stemsplit.outputs.manifest import NAME, name_for
from stemsplit.types import Format

#: Where one file holds all stems of a song, it is called as the song is.
STEM_FILE_TEMPLATE = "{track}.{ext}"
VARIABLES = ("track", "trackext", "stem", "ext", "model")

#: Characters that some file system refuses or some shell or player trips over.
_UNSAFE = frozenset('/\\:*?"<>|')
#: Names that Windows keeps for devices, with any suffix.
_RESERVED = frozenset(
    {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
)
#: Bytes of one part of a path, on most file systems.
LONGEST_COMPONENT = 255
#: Bytes of a name that leave room below that for stem and suffixes.
_LONGEST = 180
#: Not printable by themselves, but part of emoji: the joiner, and the choice of the colourful form.
_IN_EMOJI = "\u200d\ufe0f"


def safe_name(name: str) -> str:
    """Return ``name`` as one path component that every file system takes.

    Separators, control characters and bytes that are no text become ``_``; dots and spaces at the
    end go; ``.``, ``..``, device names of Windows and nothing at all are covered too.
    """
    safe = "".join(
        "_" if char in _UNSAFE or not (char.isprintable() or char in _IN_EMOJI) else char
        for char in name
    )
    safe = safe.encode()[:_LONGEST].decode(errors="ignore").rstrip(". ")
    if not safe or safe.partition(".")[0].lower() in _RESERVED:
        return f"_{safe}"
    return safe


def template_for(template: str, format: Format) -> str:
    """Return ``template``, or what is the default of ``format`` where it is that of all others."""
    if FORMATS[format].holds_all_stems and template == DEFAULT_TEMPLATE:
        return STEM_FILE_TEMPLATE
    return template


def check_template(template: str, stems: Sequence[str]) -> None:
    """Raise ``UsageError`` unless ``template`` gives each of ``stems`` a file below the folder."""
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as exc:
        raise UsageError(f"template {template!r}: {exc}") from exc
    fields = [field for _, field, _, _ in parts if field is not None]
    if any(form or conversion for _, _, form, conversion in parts):
        raise UsageError(
            f"template {template!r}: a variable is a name in braces and nothing else",
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


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputNames:
    """What the files of the input ``track`` are called below ``folder``, by a checked ``template``.

    ``{track}`` is the input's name without its ending, or ``name``, a safe one.
    """

    track: Path
    folder: Path
    template: str
    extension: str
    model: str
    name: str | None = None

    def of_stems(self, stems: Sequence[str]) -> dict[str, Path]:
        """Return the path of each of ``stems``.

        Raises ``UsageError`` for a name that is longer than file systems take.
        """
        values = self._values
        names = {stem: self.template.format(stem=safe_name(stem), **values) for stem in stems}
        for name in names.values():
            if any(len(os.fsencode(part)) > LONGEST_COMPONENT for part in Path(name).parts):
                raise UsageError(
                    f"template {self.template!r} makes a name that is too long: {name}"
                )
        return {stem: self.folder / name for stem, name in names.items()}

    def of_manifest(self) -> Path:
        """Return where the manifest is, whichever stems are wanted: in the `_shared` folder.

        If the song does not have that to itself, the name of the manifest tells the song.
        """
        own = any("{track}" in part for part in self._shared)
        return self._beside(NAME if own else name_for(self._values["track"]))

    def of_project(self, suffix: str) -> Path:
        """Return where a project with the ending ``suffix`` is, that shows the stems."""
        return self._beside(f"{self._values['track']}.{suffix}")

    def _beside(self, name: str) -> Path:
        return self.folder.joinpath(*(part.format(**self._values) for part in self._shared), name)

    @property
    def _shared(self) -> list[str]:
        """The folders of the template that all stems of a song have in common."""
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
    """Return the relative ``folder`` with names that every file system takes."""
    return Path(*(safe_name(part) for part in folder.parts))


class Places:
    """Where files are, whatever links lead to their folders; each folder is looked at once."""

    def __init__(self) -> None:
        self._folders: dict[Path, Path] = {}

    def of(self, path: Path) -> str:
        """Return what is the same for all paths of one file; if it is a link, it is not followed.

        So it is for names that differ in upper and lower case alone, or in how an accent is
        written: to macOS and Windows they are one, and where stems are must not depend on that.
        """
        folder = path.parent
        if folder not in self._folders:
            self._folders[folder] = folder.resolve()
        text = unicodedata.normalize("NFD", str(self._folders[folder] / path.name))
        return unicodedata.normalize("NFC", text.casefold())


def clashes(plans: Mapping[Path, Iterable[Path]], places: Places) -> set[Path]:
    """Return the inputs of ``plans`` of which another one would write the same file."""
    writers: dict[str, set[Path]] = {}
    for source, outputs in plans.items():
        for output in outputs:
            writers.setdefault(places.of(output), set()).add(source)
    return {source for sources in writers.values() if len(sources) > 1 for source in sources}


def check_collisions(plans: Mapping[Path, Iterable[Path]], places: Places) -> None:
    """Raise ``UsageError`` if two inputs would write one file, or one would overwrite an input.

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
                    hint="tell them apart by {track}, as in --filename '{track}/{stem}.{ext}'",
                )
