"""``--out vocals.mp3``: the one stem of one song goes to a file of this name."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Container, Sequence
from pathlib import Path

from stemsplit.batch.playlists import is_playlist
from stemsplit.errors import UsageError
from stemsplit.options import SplitOptions
from stemsplit.types import Format


def format_named_by(out: Path, format: Format, *, asked: bool) -> Format | None:
    """Return the format that the name of the file ``out`` asks for; None for a folder.

    What exists as a folder is one, whatever its name. ``format`` is the option, which decides where
    formats share an ending. Raises ``UsageError`` if it was ``asked`` for and is another.
    """
    from stemsplit.audio.format_table import FORMATS

    name = out.name.lower().replace(".aif", ".aiff") if out.suffix.lower() == ".aif" else out.name
    fitting = [each for each, row in FORMATS.items() if name.lower().endswith(f".{row.extension}")]
    if not fitting or out.is_dir():
        return None
    if format in fitting:
        return format
    if asked:
        raise UsageError(f"--out {out} names a file, which excludes --format {format}")
    return "m4a" if "m4a" in fitting else fitting[0]  # alac has the same ending


def to_file(split: SplitOptions, asked: Container[str], files: Sequence[str]) -> SplitOptions:
    """Return ``split`` with its one stem of the song ``files`` in the file that ``out`` names.

    Raises ``UsageError`` for several stems or songs, and where a template was ``asked`` for too.
    """
    from stemsplit.batch.plan import select

    out = split.out
    if "filename" in asked:
        raise UsageError(f"--out {out} names a file, which excludes --filename")
    stems = select(split).wanted
    if len(stems) != 1:
        hint = f"--stems vocals writes one; for all: --out {out.with_suffix('')}, a folder"
        raise UsageError(f"--out {out} names a file, but there are {len(stems)} stems", hint=hint)
    if not is_one_song(files):
        hint = f"for several songs: --out {out.with_suffix('')}, a folder"
        raise UsageError(f"--out {out} names a file, which takes one song", hint=hint)
    template = out.name.replace("{", "{{").replace("}", "}}")
    return dataclasses.replace(split, out=out.parent, filename=template)


def is_one_song(files: Sequence[str]) -> bool:
    """Return whether ``files`` are one song: not a folder, a playlist or a pattern."""
    if len(files) != 1 or os.path.isdir(files[0]) or is_playlist(Path(files[0])):
        return False
    return os.path.lexists(files[0]) or not any(char in files[0] for char in "*?[")
