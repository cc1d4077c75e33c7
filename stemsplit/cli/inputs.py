"""From arguments to songs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from stemsplit.audio.names import sounds_by_name
from stemsplit.errors import InputError


def find_songs(arguments: Iterable[str], outputs: Path) -> Iterator[Path | InputError]:
    """Yield the songs that ``arguments`` name, each once; folders give what is below them.

    What is below the folder ``outputs`` is left out: stems of earlier runs are no songs. A folder
    that holds no audio, and a name that no file can have, give an ``InputError``, to be told when
    its turn comes. Whether a file exists and is audio is not looked at here.
    """
    seen: set[Path] = set()
    for argument in arguments:
        try:
            for song in _expand(argument, outputs):
                if (identity := song.resolve()) not in seen:
                    seen.add(identity)
                    yield song
        except InputError as error:
            yield error
        except (OSError, RuntimeError, ValueError) as exc:  # RuntimeError: a loop of symlinks
            reason = getattr(exc, "strerror", None) or str(exc)
            yield InputError(f"cannot be read: {reason}", path=argument)


def _expand(argument: str, outputs: Path) -> list[Path]:
    """Return ``argument`` itself, or the audio files of the folder that it names."""
    if not argument:  # an unset variable in quotes; Path takes it for the current folder
        raise InputError("no such file: the name is empty")
    path = Path(argument)
    if not path.is_dir():
        return [path]
    found = _below(path, outputs)
    if not found:
        raise InputError(
            "this folder holds no audio files",
            path=path,
            hint="files in a folder are found by their endings; name others one by one",
        )
    return found


def _below(folder: Path, outputs: Path) -> list[Path]:
    """Return the audio files below ``folder`` in a stable order; hidden ones are left out."""
    found: list[Path] = []
    own = os.path.abspath(outputs)
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and os.path.abspath(os.path.join(parent, name)) != own
        )
        found += [Path(parent, name) for name in sorted(files) if sounds_by_name(name)]
    return found
