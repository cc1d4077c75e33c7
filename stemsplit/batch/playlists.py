"""Lists of songs in files: playlists, and what ``--files-from`` names."""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from stemsplit.cli.standard_streams import STANDARD, standard_input
from stemsplit.errors import InputError

PLAYLISTS = (".m3u", ".m3u8")
#: What begins the lists of pieces that streams are made of; such a playlist names no songs.
_STREAMED = b"#EXT-X-"
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


def is_playlist(path: Path) -> bool:
    """Return whether ``path`` is called like a playlist."""
    return path.suffix.lower() in PLAYLISTS


def local_path(text: str) -> Path:
    """Return the path that ``text`` is, or that it gives as a ``file://`` address.

    Raises ``InputError`` for addresses of anything else: nothing is fetched.
    """
    if not _ADDRESS.match(text) or os.path.lexists(text):
        return Path(text)
    try:
        address = urlsplit(text)
    except ValueError as exc:  # a bracket that is not closed, for one
        raise InputError(f"is no valid address ({exc})", path=text) from exc
    if address.scheme.lower() != "file" or address.netloc not in ("", "localhost"):
        reason = "is an address in a network; only files are split"
        raise InputError(reason, path=text, hint="fetch the song first, then name its file")
    return Path(url2pathname(address.path) if os.name == "nt" else unquote(address.path))


def read_names(source: str) -> list[str]:
    """Return the names in the file ``source`` (``-``: standard input), one a line.

    If there is a NUL byte, NULs separate the names instead, as ``find -print0`` writes them. Names
    stand as they are: nothing is unquoted, and there are no comments. Raises ``InputError`` for a
    file that cannot be read.
    """
    try:
        data = standard_input().read() if source == STANDARD else Path(source).read_bytes()
    except OSError as exc:
        raise InputError(f"cannot be read: {exc.strerror}", path=source) from exc
    data = _unmarked(data)
    lines = data.split(b"\0") if b"\0" in data else data.splitlines()
    return [os.fsdecode(line) for line in lines if line.strip()]


def _unmarked(data: bytes) -> bytes:
    """Return ``data`` without the mark that programs of Windows begin a text with.

    If that says UTF-16, as PowerShell writes it, names are those of this system then: read as they
    are, a list would be one of single letters between NULs, and "/" one of its folders.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return os.fsencode(data.decode("utf-16", "replace"))
    return data.removeprefix(codecs.BOM_UTF8)


def read_playlist(path: Path) -> Iterator[Path | InputError]:
    """Yield the songs of the playlist ``path``; relative ones are beside it, or below.

    Network addresses and playlists give an ``InputError`` each. Raises ``InputError`` for a
    playlist that cannot be read, that is one of pieces of a stream, or that names nothing.
    """
    try:
        data = _unmarked(path.read_bytes())
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
    """Return the song that a line means, read in the way that gives a file that exists.

    A playlist does not say how it is encoded: UTF-8, the bytes of the file system, or what Windows
    uses in western Europe; and Windows writes backslashes, VLC a part of an address (``%20``).
    """
    own, western = os.fsdecode(line), line.decode("cp1252", "replace")
    readings = [own, western, own.replace("\\", "/"), western.replace("\\", "/"), unquote(own)]
    paths = [playlist.parent / local_path(text) for text in dict.fromkeys(readings)]
    entry = next((path for path in paths if os.path.lexists(path)), paths[0])
    if is_playlist(entry):
        raise InputError("is a playlist in a playlist", path=entry, hint="name it by itself")
    return entry
