"""From arguments to songs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from stemsplit.errors import InputError

#: What a file in a folder must end with to be taken for audio. A file named by itself may end with
#: anything: ffmpeg looks at its content.
AUDIO_SUFFIXES = tuple(
    f".{name}"
    for names in (
        "aac ac3 aif aifc aiff alac ape au caf dts flac m4a m4b mp2 mp3 mpc oga ogg opus ra spx",
        "tta voc w64 wav wma wv mka mkv mov mp4 webm",
    )
    for name in names.split()
)


def find_songs(arguments: Iterable[Path]) -> Iterator[Path | InputError]:
    """Yield the songs that ``arguments`` name, each once; folders give what is below them.

    A folder that holds no audio gives an ``InputError``, to be told when its turn comes. Whether a
    file exists and is audio is not looked at here.
    """
    seen: set[Path] = set()
    for argument in arguments:
        found = _below(argument) if argument.is_dir() else [argument]
        if not found:
            yield InputError(
                "this folder holds no audio files",
                path=argument,
                hint="files in a folder are found by their endings; name others one by one",
            )
        for song in found:
            if (identity := song.resolve()) not in seen:
                seen.add(identity)
                yield song


def _below(folder: Path) -> list[Path]:
    """Return the audio files below ``folder`` in a stable order; hidden ones are left out."""
    found: list[Path] = []
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [
            Path(parent, name)
            for name in sorted(files)
            if name.lower().endswith(AUDIO_SUFFIXES) and not name.startswith(".")
        ]
    return found
