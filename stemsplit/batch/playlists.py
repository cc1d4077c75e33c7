"""Lists of songs in files: playlists, and plain lists of names."""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from stemsplit.errors import InputError
from stemsplit.small_files import LARGEST_LIST, read_small

PLAYLISTS = (".m3u", ".m3u8")
#: A playlist with such tags lists the pieces of a stream, not songs.
_STREAMED = b"#EXT-X-"
#: What a shell opens for this program (``<(find …)``): a pipe, but somebody writes to it.
INHERITED = re.compile(r"/dev/fd/\d+|/proc/self/fd/\d+|/dev/stdin")
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


class NameSource(Protocol):
    """A list of names that is not a file of its own: standard input."""

    def read(self) -> bytes:
        """Return the list; raises ``InputError`` if it cannot be read."""


def is_playlist(path: Path) -> bool:
    """Return whether ``path`` has the name of a playlist."""
    return path.suffix.lower() in PLAYLISTS


def local_path(text: str) -> Path:
    """Return the path that ``text`` is, or names as a ``file://`` address.

    Raises ``InputError`` for any other address: songs are not downloaded.
    """
    if not _ADDRESS.match(text) or os.path.lexists(text):
        return Path(text)
    try:
        address = urlsplit(text)
    except ValueError as exc:  # a bracket that is not closed, for one
        raise InputError(f"is not a valid address ({exc})", path=text) from exc
    if address.scheme.lower() != "file" or address.netloc not in ("", "localhost"):
        reason = "is an address in a network; only files are split"
        raise InputError(reason, path=text, hint="download the song first, then name its file")
    return Path(url2pathname(address.path) if os.name == "nt" else unquote(address.path))


def read_names(source: str | NameSource) -> list[str]:
    """Return the names in the file, or other ``source``, one a line.

    If it has a NUL byte, NULs separate the names instead, as ``find -print0`` writes them. Names
    are taken literally: without quoting and comments. Raises ``InputError`` for a source that
    cannot be read.
    """
    if isinstance(source, str):
        try:
            data = _read_list(source)
        except OSError as exc:
            raise InputError(f"cannot be read: {exc.strerror}", path=source) from exc
    else:
        data = source.read()
    data = _without_mark(data)
    lines = data.split(b"\0") if b"\0" in data else data.splitlines()
    return [os.fsdecode(line) for line in lines if line.strip()]


def _read_list(name: str) -> bytes:
    if INHERITED.fullmatch(name):
        return Path(name).read_bytes()
    return read_small(Path(name), LARGEST_LIST)


def _without_mark(data: bytes) -> bytes:
    """Return ``data`` without the byte order mark that programs of Windows write before a text.

    UTF-16, as PowerShell writes it, becomes the encoding of the file system: read as it is, the
    list would be single letters between NULs, and "/" one of its folders.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return os.fsencode(data.decode("utf-16", "replace"))
    return data.removeprefix(codecs.BOM_UTF8)


def read_playlist(path: Path) -> Iterator[Path | InputError]:
    """Yield the songs of the playlist ``path``; relative names start from its folder.

    Network addresses and playlists inside give an ``InputError`` each. Raises ``InputError`` for a
    playlist that cannot be read, that lists the pieces of a stream, or that is empty.
    """
    try:
        data = _without_mark(read_small(path, LARGEST_LIST))
    except OSError as exc:
        raise InputError(f"cannot be read: {exc.strerror}", path=path) from exc
    if _STREAMED in data:
        raise InputError("lists the pieces of a stream, not songs", path=path)
    lines = [line.strip() for line in data.splitlines()]
    lines = [line for line in lines if line and not line.startswith(b"#")]
    if not lines:
        raise InputError("this playlist names no songs", path=path)
    for line in lines:
        try:
            yield _entry(line, path)
        except InputError as error:
            yield error


def _entry(line: bytes, playlist: Path) -> Path:
    """Return the song that a line names, in the first reading that gives an existing file.

    A playlist does not declare its encoding: UTF-8, the bytes of the file system, or what Windows
    uses in western Europe; and Windows writes backslashes, VLC escapes as in addresses (``%20``).
    """
    own, western = os.fsdecode(line), line.decode("cp1252", "replace")
    readings = [own, western, own.replace("\\", "/"), western.replace("\\", "/"), unquote(own)]
    paths = [playlist.parent / local_path(text) for text in dict.fromkeys(readings)]
    entry = next((path for path in paths if os.path.lexists(path)), paths[0])
    if is_playlist(entry):
        raise InputError("is a playlist in a playlist", path=entry, hint="name it by itself")
    return entry
