"""Read lists of songs: playlists, and plain lists of names."""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from stemsplit.errors import InputError
from stemsplit.small_files import LARGEST_LIST, read_small

PLAYLISTS = (".m3u", ".m3u8")
#: A playlist with such tags lists the segments of a stream, not songs.
_STREAMED = b"#EXT-X-"
#: Files that a shell opens for this program (``<(find …)``): pipes that do have a writer.
INHERITED = re.compile(r"/dev/fd/\d+|/proc/self/fd/\d+|/dev/stdin")
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


class NameSource(Protocol):
    """A list of names that is not a file, such as standard input."""

    def read(self) -> bytes:
        """Return the list; raises ``InputError`` if it cannot be read."""


def is_playlist(path: Path) -> bool:
    """Return whether ``path`` has the name of a playlist."""
    return path.suffix.lower() in PLAYLISTS


def local_path(text: str) -> Path:
    """Return the path in ``text``, a path or a ``file://`` address.

    Raises ``InputError`` for any other address, since songs are not downloaded.
    """
    if not _ADDRESS.match(text) or os.path.lexists(text):
        return Path(text)
    try:
        address = urlsplit(text)
    except ValueError as exc:  # for instance an unclosed bracket
        raise InputError(f"is not a valid address ({exc})", path=text) from exc
    if address.scheme.lower() != "file" or address.netloc not in ("", "localhost"):
        reason = "is a network address; only files can be split"
        raise InputError(reason, path=text, hint="download the song first, then pass the file")
    if os.name == "nt":
        from urllib.request import url2pathname  # imported late: it loads an HTTP client

        return Path(url2pathname(address.path))
    return Path(unquote(address.path))


def read_names(source: str | NameSource) -> list[str]:
    """Return the names in ``source``, a file or other source, one per line.

    If it contains a NUL byte, names are separated by NULs, as in the output of ``find -print0``.
    Names are literal, without quoting or comments. Raises ``InputError`` for a source that
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
    """Return ``data`` without the byte order mark that Windows programs put before text.

    UTF-16, as written by PowerShell, is converted to the encoding of the file system. Without this
    the list would be read as single letters separated by NULs, one of which may be the folder "/".
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return os.fsencode(data.decode("utf-16", "replace"))
    return data.removeprefix(codecs.BOM_UTF8)


def read_playlist(path: Path) -> Iterator[Path | InputError]:
    """Yield the songs of the playlist ``path``; names are relative to its folder.

    Yields an ``InputError`` for each network address and nested playlist. Raises ``InputError`` for
    a playlist that cannot be read, that lists the segments of a stream, or that is empty.
    """
    try:
        data = _without_mark(read_small(path, LARGEST_LIST))
    except OSError as exc:
        raise InputError(f"cannot be read: {exc.strerror}", path=path) from exc
    if _STREAMED in data:
        raise InputError("lists the segments of a stream, not songs", path=path)
    lines = [line.strip() for line in data.splitlines()]
    lines = [line for line in lines if line and not line.startswith(b"#")]
    if not lines:
        raise InputError("lists no songs", path=path)
    for line in lines:
        try:
            yield _entry(line, path)
        except InputError as error:
            yield error


def _entry(line: bytes, playlist: Path) -> Path:
    """Return the song in a line of a playlist: the first interpretation that is an existing file.

    A playlist does not declare its encoding, which may be UTF-8, that of the file system, or
    Windows-1252. Windows programs also write backslashes, and VLC percent-escapes (``%20``).
    """
    own, western = os.fsdecode(line), line.decode("cp1252", "replace")
    readings = [own, western, own.replace("\\", "/"), western.replace("\\", "/"), unquote(own)]
    paths = [playlist.parent / local_path(text) for text in dict.fromkeys(readings)]
    entry = next((path for path in paths if os.path.lexists(path)), paths[0])
    if is_playlist(entry):
        raise InputError("is a playlist inside a playlist", path=entry, hint="pass it separately")
    return entry
