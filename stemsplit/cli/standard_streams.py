"""A song from standard input, and a stem to standard output."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from stemsplit.errors import ExitCode, InputError, ResourceError, UsageError

if TYPE_CHECKING:
    from stemsplit.batch.engine_cache import Splitter
    from stemsplit.cli.console import Console

#: What stands for standard input as a FILE, and for standard output as the folder.
STANDARD = "-"
#: What a song from standard input is called where nobody says more.
NAMELESS = "stdin"
PIECE = 2**20  # bytes that are copied at a time


def standard_input() -> BinaryIO:
    """Return the bytes of standard input. Raises ``InputError`` if the caller has closed it."""
    if sys.stdin is None:
        raise InputError("standard input is closed", path=STANDARD)
    return sys.stdin.buffer


def check_input(files: Sequence[str], lists: Sequence[str], name: str | None) -> None:
    """Raise ``UsageError`` where a song is to come from standard input, and cannot."""
    if STANDARD not in files:
        if name is not None:
            raise UsageError("--input-name names a song from standard input, and there is none")
        return
    if STANDARD in lists:
        raise UsageError("standard input is one song or a list of songs, not both")
    from stemsplit.batch.playlists import is_playlist

    if is_playlist(Path(name or NAMELESS)):
        raise UsageError(f"{name} is the name of a playlist, not of a song")
    if sys.stdin is not None and sys.stdin.isatty():
        hint = "cat song.mp3 | stemsplit -, or stemsplit FILE"
        raise UsageError("a song from standard input, which is a terminal", hint=hint)


@contextlib.contextmanager
def spooled(files: Sequence[str], name: str | None, console: Console) -> Iterator[list[str]]:
    """Yield ``files`` with a temporary file in place of standard input, which ``console`` calls so.

    A song is read more than once, and a pipe cannot be. Raises ``InputError`` where it cannot be
    read, and ``ResourceError`` where there is no room for it.
    """
    if STANDARD not in files:
        yield list(files)
        return
    from stemsplit.outputs.naming import safe_name

    with _private_folder() as folder:
        song = folder / safe_name(name or NAMELESS)
        console.names[str(song)] = STANDARD
        try:
            with song.open("wb") as file:
                shutil.copyfileobj(standard_input(), file, PIECE)
        except OSError as exc:
            reason = f"standard input cannot be kept: {exc.strerror}"
            raise ResourceError(reason, path=folder.parent, hint="TMPDIR names a folder") from exc
        yield [str(song) if file == STANDARD else file for file in files]


@contextlib.contextmanager
def _private_folder() -> Iterator[Path]:
    """Yield a new folder that nobody else can look into; it goes with all that is in it."""
    from stemsplit.audio.atomic import signals_deferred

    made: list[Path] = []
    try:
        with signals_deferred():
            made.append(Path(tempfile.mkdtemp(prefix="stemsplit-")))
        yield made[0]
    finally:
        with signals_deferred():
            for folder in made:
                shutil.rmtree(folder, ignore_errors=True)


def check_output(console: Console, **excluded: object) -> None:
    """Raise ``UsageError`` where a stem cannot go to standard output.

    ``excluded`` are options that make no sense then, with their values.
    """
    for option, value in excluded.items():
        if value:
            name = f"--{option.replace('_', '-')}"
            raise UsageError(f"--out - writes a stem to standard output: it excludes {name}")
    if console.stdout.isatty():
        hint = "redirect it (> vocals.wav), or pipe it on (| ffplay -)"
        raise UsageError("a stem to standard output, which is a terminal", hint=hint)


def write_to_stdout(splitter: Splitter, files: Sequence[str], *, bare: bool) -> ExitCode:
    """Write the one stem of the one song ``files`` to standard output, ``bare`` without a header.

    What can be written in order goes out while it is made, all else when it is done. If nobody
    reads any more, that is the end, and no failure. Raises as ``Splitter.split`` does, and
    ``UsageError`` for more than one stem or song.
    """
    from stemsplit.audio.encoders.opening import can_stream
    from stemsplit.outputs.naming import safe_name
    from stemsplit.outputs.stream import ReaderGone

    stem = _only_one("stem", splitter.selection.wanted, "--stems vocals")
    song = Path(_only_one("song", files, "give each a call of its own"))
    splitter.console.stdout.flush()
    to = splitter.console.stdout.buffer
    try:
        if can_stream(splitter.options.encoding):
            splitter.stream(song, {stem: Path(STANDARD)}, to, bare=bare)
            return ExitCode.DONE
        with _private_folder() as folder:
            path = folder / safe_name(stem)
            splitter.split(song, {stem: path}, "")
            with path.open("rb") as file:
                shutil.copyfileobj(file, to, PIECE)
            to.flush()
    except (BrokenPipeError, ReaderGone):
        pass
    except OSError as exc:
        raise ResourceError(f"standard output cannot be written: {exc.strerror}") from exc
    return ExitCode.DONE


def _only_one(what: str, names: Sequence[str], hint: str) -> str:
    if len(names) != 1:
        reason = f"one {what} goes to standard output, not {len(names)} ({', '.join(names)})"
        raise UsageError(reason, hint=hint)
    return names[0]
