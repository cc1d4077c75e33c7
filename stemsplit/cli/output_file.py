"""``--out vocals.mp3``: write one stem of one song to a file of this name."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Container, Sequence
from pathlib import Path

from stemsplit.audio.detect import AUDIO_SUFFIXES, VIDEO_SUFFIXES
from stemsplit.audio.format_table import FORMATS, formats_named_by
from stemsplit.batch.playlists import is_playlist
from stemsplit.errors import UsageError
from stemsplit.options import SplitOptions
from stemsplit.types import Format

#: Extensions of files that are not audio, but are no part of the name of a folder either.
TEXT_SUFFIXES = (".csv", ".htm", ".html", ".json", ".md", ".pdf", ".txt", ".zip")


def format_named_by(out: Path, format: Format, *, asked: bool) -> Format | None:
    """Return the format that the extension of the file ``out`` selects; None for a folder.

    An existing folder is one, whatever its name. ``format`` is the option, which decides if formats
    share an extension. Raises ``UsageError`` if it was ``asked`` for and differs, and for a file of
    another kind, such as out.wma or out.txt.
    """
    if out.is_dir():
        return None
    fitting = formats_named_by(out.name)
    if not fitting:
        _refuse_other_files(out)
        return None
    if format in fitting:
        return format
    if asked:
        raise UsageError(f"--out {out} is in a different format from --format {format}")
    return "m4a" if "m4a" in fitting else fitting[0]  # alac has the same extension


def _refuse_other_files(out: Path) -> None:
    """Raise ``UsageError`` if ``out`` is named like a file, in a format that is not written."""
    suffix = out.suffix.lower()
    if suffix in (*AUDIO_SUFFIXES, *VIDEO_SUFFIXES, *TEXT_SUFFIXES):
        known = ", ".join(dict.fromkeys(f".{row.extension}" for row in FORMATS.values()))
        hint = f"use {known}; a folder of this name must exist already"
        raise UsageError(f"--out {out}: stemsplit does not write {suffix} files", hint=hint)


def to_file(split: SplitOptions, asked: Container[str], files: Sequence[str]) -> SplitOptions:
    """Return ``split`` changed to write one stem of the song ``files`` to the file ``out``.

    Raises ``UsageError`` for several stems or songs, and if a template was ``asked`` for.
    """
    from stemsplit.batch.plan import select

    out = split.out
    if "filename" in asked:
        raise UsageError(f"--out {out} is a file: it cannot be used with --filename")
    stems = select(split).wanted
    if len(stems) != 1:
        hint = f"--stems vocals writes one stem; for all: --out {out.with_suffix('')}, a folder"
        raise UsageError(
            f"--out {out} is a file for one stem, but there are {len(stems)} stems", hint=hint
        )
    if not is_one_song(files):
        hint = f"for several songs: --out {out.with_suffix('')}, a folder"
        raise UsageError(f"--out {out} is a file for one stem of one song", hint=hint)
    template = out.name.replace("{", "{{").replace("}", "}}")
    return dataclasses.replace(split, out=out.parent, filename=template)


def is_one_song(files: Sequence[str]) -> bool:
    """Return whether ``files`` are a single song: no folder, playlist or pattern."""
    if len(files) != 1 or os.path.isdir(files[0]) or is_playlist(Path(files[0])):
        return False
    return os.path.lexists(files[0]) or not any(char in files[0] for char in "*?[")
