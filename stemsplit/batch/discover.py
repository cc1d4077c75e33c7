"""Find songs: in files, folders, patterns, playlists and lists."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from stemsplit.audio.detect import STEM_SUFFIXES, has_media_name, may_be_audio
from stemsplit.batch.playlists import (
    NameSource,
    is_playlist,
    local_path,
    read_names,
    read_playlist,
)
from stemsplit.errors import InputError
from stemsplit.outputs import manifest

_NUMBER = re.compile(r"(\d+)")


@dataclass(frozen=True, slots=True)
class Song:
    """A file to split.

    ``below`` is the folder for its stems, relative to the output folder: it mirrors where the song
    is below the folder that was given. A file that was only ``found`` there may turn out not to be
    audio. ``make`` creates the file in its turn, and ``is_done`` returns whether the song needs no
    more work, for instance because another process has split it.
    """

    path: Path
    below: Path = Path()
    found: bool = False
    make: Callable[[Path], None] | None = None
    is_done: Callable[[], bool] = bool  # bool() is False


def discover(
    arguments: Iterable[str], outputs: Path, lists: Iterable[str | NameSource] = ()
) -> Iterator[Song | InputError]:
    """Yield the songs that ``arguments`` and the ``lists`` of names refer to, each once.

    An argument is a file, a folder (all audio below it), a playlist or a pattern. Stems of earlier
    runs are skipped: everything below ``outputs``, or listed in a manifest. Yields an
    ``InputError`` for anything unreadable, to be reported in its turn. Does not check whether a
    file given by name exists and is audio.
    """
    seen: set[Path] = set()
    for song in _all(arguments, outputs, lists):
        try:
            if isinstance(song, InputError):
                yield song
            elif (identity := song.path.resolve()) not in seen:
                seen.add(identity)
                yield song
        except (OSError, RuntimeError, ValueError) as exc:  # RuntimeError: a loop of symlinks
            yield _unreadable(exc, song.path if isinstance(song, Song) else None)


def _unreadable(exc: Exception, path: Path | str | None) -> InputError:
    return InputError(f"cannot be read: {getattr(exc, 'strerror', None) or exc}", path=path)


def _all(
    arguments: Iterable[str], outputs: Path, lists: Iterable[str | NameSource]
) -> Iterator[Song | InputError]:
    for argument in arguments:
        yield from _explained(argument, _expand(argument, outputs, patterns=True))
    for source in lists:
        try:
            names = read_names(source)
        except InputError as error:
            yield error
            continue
        for name in names:
            for song in _explained(name, _expand(name, outputs)):
                if isinstance(song, Song) and song.path == Path(name):
                    yield Song(song.path, _folder_within(song.path, Path()))
                else:
                    yield song


def _explained(name: str, songs: Iterator[Song | InputError]) -> Iterator[Song | InputError]:
    """Yield ``songs``, and finally an ``InputError`` if ``name`` itself causes an error."""
    try:
        yield from songs
    except InputError as error:
        yield error
    except (OSError, ValueError) as exc:
        yield _unreadable(exc, name)


def _expand(name: str, outputs: Path, *, patterns: bool = False) -> Iterator[Song | InputError]:
    """Yield the song ``name``, or the songs of the folder, playlist or pattern ``name``."""
    if not name:  # an unset variable in quotes; for Path, it is the current folder
        raise InputError("no such file: the name is empty")
    path = local_path(name)
    if path.is_dir():
        yield from _required(_below(path, path, outputs), path)
    elif is_playlist(path):
        for entry in read_playlist(path):
            if isinstance(entry, InputError):
                yield entry
            else:
                yield Song(entry, _folder_within(entry, path.parent))
    elif patterns and not os.path.lexists(path) and any(char in name for char in "*?["):
        yield from _matching(path, outputs)
    else:
        yield Song(path)


def _folder_within(path: Path, base: Path) -> Path:
    """Return the folder of ``path`` relative to ``base``; an empty path if it is not below."""
    relative = Path(os.path.relpath(path.parent, base))
    return Path() if ".." in relative.parts else relative


def _required(songs: Iterator[Song | InputError], folder: Path) -> Iterator[Song | InputError]:
    """Yield ``songs``; raise ``InputError`` if there are none."""
    first = next(songs, None)
    if first is None:
        raise InputError("this folder contains no audio files", path=folder)
    yield first
    yield from songs


def natural_key(name: str) -> tuple[list[str | int], str]:
    """Return a key that sorts ``name`` by its numbers: 2 before 10."""
    parts: list[str | int] = list(_NUMBER.split(name))
    parts[1::2] = map(int, parts[1::2])
    return parts, name


def _below(folder: Path, base: Path, outputs: Path) -> Iterator[Song | InputError]:
    """Yield the songs in and below ``folder`` in natural order, relative to ``base``."""
    for parent in _walk(folder, outputs):
        if isinstance(parent, InputError):
            yield parent
            continue
        names = sorted(os.listdir(parent), key=natural_key)
        stems = manifest.outputs_in(parent, names)
        for name in names:
            path = parent / name
            if _is_song(path) and path not in stems:
                yield Song(path, _folder_within(path, base), found=True)


def _walk(folder: Path, outputs: Path) -> Iterator[Path | InputError]:
    """Yield ``folder`` and its subfolders that may hold songs, each once, links to folders last.

    Yields an ``InputError`` for an unreadable folder.
    """
    seen = {identity_of(outputs)} - {identity_of(folder)}
    waiting, links = [folder], list[Path]()
    while waiting or links:
        parent = waiting.pop() if waiting else links.pop(0)
        try:
            names = sorted(os.listdir(parent), key=natural_key)
            identity = identity_of(parent)
        except OSError as exc:
            yield _unreadable(exc, parent)
            continue
        if identity in seen or manifest.NAME in names:
            continue
        seen.add(identity)
        yield parent
        visible = [parent / name for name in names if not name.startswith(".")]
        folders = [path for path in visible if os.path.isdir(path)]
        waiting += [path for path in reversed(folders) if not path.is_symlink()]
        links += [path for path in folders if path.is_symlink()]


def identity_of(folder: Path) -> tuple[int, int] | None:
    """Return the identity of a folder, whatever path leads to it; None if it does not exist."""
    try:
        status = folder.stat()
    except OSError:  # deleted meanwhile, or inside a folder without access
        return None
    return status.st_dev, status.st_ino


def _is_song(path: Path) -> bool:
    """Return whether to split a file that was found, or to report it if that is impossible."""
    name = path.name
    if name.startswith(".") or name.lower().endswith(STEM_SUFFIXES):
        return False
    if not os.path.isfile(path):
        return has_media_name(name) and path.is_symlink() and not os.path.exists(path)
    return has_media_name(name) or may_be_audio(path)


def _matching(pattern: Path, outputs: Path) -> Iterator[Song | InputError]:
    """Yield the songs that ``pattern`` matches, and those below folders that it matches.

    As in a shell, and ``**`` matches any number of folders. The tree below the last folder without
    a wildcard is mirrored.
    """
    parts = pattern.parts
    literal = next(i for i, part in enumerate(parts) if any(char in part for char in "*?["))
    base = Path(*parts[:literal])
    matched = False
    for path in _glob(base, parts[literal:], outputs):
        if path.is_dir():
            songs = list(_below(path, base, outputs))
        else:
            songs = [Song(path, _folder_within(path, base), found=True)] if _is_song(path) else []
        matched = matched or bool(songs)
        yield from songs
    if not matched:
        raise InputError("no such file, and no audio file matches this pattern", path=pattern)


def _glob(base: Path, parts: Sequence[str], outputs: Path) -> Iterator[Path]:
    if not parts:
        yield base
        return
    if parts[0] == "**":
        if len(parts) == 1:
            yield base
            return
        for folder in _walk(base, outputs):
            if isinstance(folder, Path):
                yield from _glob(folder, parts[1:], outputs)
        return
    with os.scandir(base) as entries:
        found = [entry.name for entry in entries if fnmatch(entry.name, parts[0])]
    names = sorted(found, key=natural_key)
    for path in (base / name for name in names if not name.startswith(".")):
        if len(parts) == 1 or path.is_dir():
            yield from _glob(path, parts[1:], outputs)
