"""Find the songs in a folder, and match those of two folders, by name only."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from stemsplit.audio.detect import has_media_name
from stemsplit.errors import InputError

#: One file with the mixture and four stems as its streams (MUSDB18, Native Instruments).
STEM_FILE = ".stem.mp4"


@dataclass(frozen=True, slots=True)
class SongStems:
    """Where the stems of one song are: in a folder, or in a file with several streams."""

    name: str  # in a data set: the path from its folder, with slashes
    path: Path


def find_songs(root: Path) -> list[SongStems]:
    """Return the songs at ``root``, by name.

    A file is one song, and so is a folder that contains audio files. Any other folder is searched
    for songs at any depth: folders with audio files, and files that end with ``STEM_FILE``. Hidden
    ones are left out. Raises ``InputError`` if nothing is found.
    """
    try:
        if not root.is_dir():
            if not os.path.lexists(root):
                raise InputError("no such file or folder", path=root)
            return [SongStems(song_name(root), root)]
        songs = sorted(_songs_below(root), key=lambda song: song.name)
    except OSError as exc:
        raise InputError(f"cannot be read: {exc.strerror}", path=exc.filename or root) from exc
    if not songs:
        raise InputError(
            "this folder contains no stems",
            path=root,
            hint="expected audio files, folders of them, or .stem.mp4 files",
        )
    return songs


def _songs_below(root: Path) -> Iterable[SongStems]:
    def refuse(error: OSError) -> None:
        raise error

    seen: set[Path] = set()
    for parent, folders, files in os.walk(root, onerror=refuse, followlinks=True):
        here = Path(parent)
        if (identity := here.resolve()) in seen:  # two links to one folder, or a loop
            folders.clear()
            continue
        seen.add(identity)
        if any(has_media_name(name) and not name.lower().endswith(STEM_FILE) for name in files):
            folders.clear()  # everything below a song belongs to it
            relative = here.relative_to(root).as_posix()
            yield SongStems(root.resolve().name if here == root else relative, here)
            continue
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if has_media_name(name):
                file = here / name
                yield SongStems(file.relative_to(root).with_name(song_name(file)).as_posix(), file)


def audio_files(folder: Path) -> list[Path]:
    """Return the audio files in ``folder``, sorted by name.

    Raises ``InputError`` if it cannot be read, or contains none.
    """
    try:
        names = sorted(path.name for path in folder.iterdir() if not path.is_dir())
    except FileNotFoundError as exc:
        raise InputError("no such folder", path=folder) from exc
    except (OSError, ValueError) as exc:  # ValueError: a name with a NUL byte
        reason = getattr(exc, "strerror", None) or str(exc)
        raise InputError(f"cannot be read: {reason}", path=folder) from exc
    found = [folder / name for name in names if has_media_name(name)]
    if not found:
        raise InputError(
            "this folder contains no audio files", path=folder, hint="expected one file per stem"
        )
    return found


def song_name(path: Path) -> str:
    """Return the name of the song in the file or folder ``path``."""
    if path.is_dir():
        return path.resolve().name
    stem = path.name.lower().endswith(STEM_FILE)
    return path.name[: -len(STEM_FILE)] if stem else path.stem


def pair_songs(
    estimates: Sequence[SongStems], references: Sequence[SongStems]
) -> list[tuple[SongStems, SongStems]]:
    """Return each of ``estimates`` that has a reference, together with it.

    A single song on each side matches, whatever its name. Otherwise songs match by their whole
    path, or by its last part if only one song has it. Raises ``InputError`` if nothing matches.
    """
    if len(estimates) == len(references) == 1:
        return [(estimates[0], references[0])]
    by_path = {song.name: song for song in references}
    by_last_part: dict[str, list[SongStems]] = {}
    for song in references:
        by_last_part.setdefault(_last_part(song.name), []).append(song)
    pairs = []
    for song in estimates:
        similar = by_last_part.get(_last_part(song.name), [])
        found = by_path.get(song.name) or (similar[0] if len(similar) == 1 else None)
        if found is not None:
            pairs.append((song, found))
    if not pairs:
        raise InputError(
            f"no song of the estimates ({_abbreviate(estimates)}) is among the references "
            f"({_abbreviate(references)})",
            hint="songs are matched by the names of their folders",
        )
    return pairs


def _last_part(name: str) -> str:
    return name.rpartition("/")[2]


def _abbreviate(songs: Sequence[SongStems]) -> str:
    names = ", ".join(song.name for song in songs[:3])
    return names if len(songs) <= 3 else f"{names}, … {len(songs)} in all"
