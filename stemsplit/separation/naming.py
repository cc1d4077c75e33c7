"""Where stems go: the name template, names that are safe anywhere, and collisions.

Everything here is decided before any work starts, from names alone.
"""

from __future__ import annotations

import os
import string
from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from pathlib import Path

from stemsplit.errors import UsageError
from stemsplit.separation.manifest import NAME, name_for
from stemsplit.types import Format

DEFAULT_FOLDER = Path("separated")
DEFAULT_TEMPLATE = "{track}/{stem}.{ext}"
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
    if format == "stem.mp4" and template == DEFAULT_TEMPLATE:
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


def stem_paths(
    track: Path,
    stems: Sequence[str],
    *,
    folder: Path,
    template: str,
    extension: str,
    model: str,
    whole_name: bool = False,
) -> dict[str, Path]:
    """Return the path of each of ``stems`` of the input ``track``, by a checked ``template``.

    With ``whole_name``, ``{track}`` keeps the ending of the input's name. Raises ``UsageError`` for
    a name that is longer than file systems take.
    """
    values = _values(track, extension, model, whole_name)
    names = {stem: template.format(stem=safe_name(stem), **values) for stem in stems}
    for name in names.values():
        if any(len(os.fsencode(part)) > LONGEST_COMPONENT for part in Path(name).parts):
            raise UsageError(f"template {template!r} makes a name that is too long: {name}")
    return {stem: folder / name for stem, name in names.items()}


def manifest_path(
    track: Path,
    *,
    folder: Path,
    template: str,
    extension: str,
    model: str,
    whole_name: bool = False,
) -> Path:
    """Return where the manifest of the input ``track`` is, whichever of its stems are wanted.

    It is in the folder that all of them share; if the song does not have that to itself, the name
    of the manifest tells the song.
    """
    values = _values(track, extension, model, whole_name)
    shared = _shared(template)
    own = any("{track}" in part for part in shared)
    name = NAME if own else name_for(values["track"])
    return folder.joinpath(*(part.format(**values) for part in shared), name)


def project_path(
    track: Path,
    suffix: str,
    *,
    folder: Path,
    template: str,
    extension: str,
    model: str,
    whole_name: bool = False,
) -> Path:
    """Return where a project with the ending ``suffix`` is, that shows the stems of ``track``.

    As the manifest it is in the folder that all of them share.
    """
    values = _values(track, extension, model, whole_name)
    parts = (part.format(**values) for part in _shared(template))
    return folder.joinpath(*parts, f"{values['track']}.{suffix}")


def _shared(template: str) -> list[str]:
    """Return the folders of ``template`` that all stems of a song have in common."""
    return list(takewhile(lambda part: "{stem}" not in part, Path(template).parts[:-1]))


def _values(track: Path, extension: str, model: str, whole_name: bool) -> dict[str, str]:
    return {
        "track": safe_name(track.name if whole_name else track.stem),
        "trackext": safe_name(track.suffix.lstrip(".")),
        "ext": extension,
        "model": safe_name(model),
    }


def safe_folder(folder: Path) -> Path:
    """Return the relative ``folder`` with names that every file system takes."""
    return Path(*(safe_name(part) for part in folder.parts))


def clashes(plans: Mapping[Path, Iterable[Path]]) -> set[Path]:
    """Return the inputs of ``plans`` of which another one would write the same file."""
    writers: dict[Path, set[Path]] = {}
    for source, outputs in plans.items():
        for output in outputs:
            writers.setdefault(output.resolve(), set()).add(source)
    return {source for sources in writers.values() if len(sources) > 1 for source in sources}


def check_collisions(plans: Mapping[Path, Iterable[Path]]) -> None:
    """Raise ``UsageError`` if two inputs would write one file, or one would overwrite an input.

    ``plans`` maps each input to the files that it will write.
    """
    inputs = {path.resolve(): path for path in plans}
    owner: dict[Path, Path] = {}
    for source, outputs in plans.items():
        for output in outputs:
            target = output.resolve()
            if target in inputs:
                raise UsageError(
                    f"{output}: the output would overwrite the input {inputs[target]}",
                    hint="choose another folder with --out",
                )
            if owner.setdefault(target, source) != source:
                raise UsageError(
                    f"{owner[target]} and {source} would both write {output}",
                    hint="name them apart, as with --filename '{track}.{trackext}/{stem}.{ext}'",
                )
