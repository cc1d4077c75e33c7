"""Read a song from standard input, and write a stem to standard output."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from stemsplit.batch.playlists import INHERITED, is_playlist
from stemsplit.errors import ExitCode, InputError, ResourceError, UsageError

if TYPE_CHECKING:
    from stemsplit.cli.console import Console
    from stemsplit.options import SplitOptions

#: Means standard input as a FILE, and standard output as the output folder.
STANDARD = "-"
#: The name of a song from standard input, unless another one is given.
NAMELESS = "stdin"
#: All names of standard output.
STANDARD_OUTPUT = (STANDARD, "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")
#: Other names of standard input.
_STANDARD_INPUT = ("/dev/stdin", "/dev/fd/0", "/proc/self/fd/0")
_PIECE = 2**20  # bytes to copy at a time


class StandardInput:
    """Standard input as a list of names, read when it is needed."""

    def read(self) -> bytes:
        """Return all of it. Raises ``InputError`` if the caller has closed it."""
        return standard_input().read()


def standard_input() -> BinaryIO:
    """Return the bytes of standard input. Raises ``InputError`` if the caller has closed it."""
    if sys.stdin is None:
        raise InputError("standard input is closed", path=STANDARD)
    return sys.stdin.buffer


def as_streams(files: Sequence[str]) -> list[str]:
    """Return ``files`` with other names of standard input replaced by ``-``."""
    return [STANDARD if file in _STANDARD_INPUT else file for file in files]


def _is_pipe(file: str) -> bool:
    """Return whether ``file`` is a pipe of the shell, such as ``<(command)``."""
    if not INHERITED.fullmatch(file):
        return False
    with contextlib.suppress(OSError, ValueError):
        return stat.S_ISFIFO(os.stat(file).st_mode)
    return False


def check_input(files: Sequence[str], lists: Sequence[str], name: str | None) -> None:
    """Raise ``UsageError`` if a song cannot be read from a stream as requested."""
    if sum(file == STANDARD or _is_pipe(file) for file in files) > 1:
        raise UsageError("only one song can come from standard input or a pipe")
    if any(map(_is_pipe, files)):
        return
    if STANDARD not in files:
        if name is not None:
            raise UsageError("--input-name needs a song from standard input (-)")
        return
    if STANDARD in lists:
        raise UsageError("standard input can be a song or a list of songs, not both")
    if is_playlist(Path(name or NAMELESS)):
        raise UsageError(f"--input-name {name}: this is a name for a playlist, not for a song")
    if sys.stdin is not None and sys.stdin.isatty():
        hint = "cat song.mp3 | stemsplit -, or stemsplit FILE"
        raise UsageError("cannot read a song from standard input, which is a terminal", hint=hint)


@contextlib.contextmanager
def spooled(files: Sequence[str], name: str | None, console: Console) -> Iterator[list[str]]:
    """Yield ``files`` with a temporary file instead of a stream; ``console`` shows the stream.

    The stream is standard input or a pipe of the shell, which cannot be read more than once, as a
    song is. Raises ``InputError`` if it cannot be read, and ``ResourceError`` if the disk has no
    space for it.
    """
    stream = next((file for file in files if file == STANDARD or _is_pipe(file)), None)
    if stream is None:
        yield list(files)
        return
    from stemsplit.batch.temporary import private_folder
    from stemsplit.outputs.naming import safe_name

    with private_folder() as folder:
        song = folder / safe_name(name or NAMELESS)
        console.names[str(song)] = stream
        try:
            with song.open("wb") as file, _opened(stream) as source:
                shutil.copyfileobj(source, file, _PIECE)
        except OSError as exc:
            reason = f"cannot store the song from {stream}: {exc.strerror}"
            raise ResourceError(
                reason, path=folder.parent, hint="set TMPDIR to another folder"
            ) from exc
        yield [str(song) if file == stream else file for file in files]


def _opened(stream: str) -> contextlib.AbstractContextManager[BinaryIO]:
    if stream == STANDARD:
        return contextlib.nullcontext(standard_input())
    return Path(stream).open("rb")


def check_output(console: Console, **excluded: object) -> None:
    """Raise ``UsageError`` if a stem cannot be written to standard output.

    ``excluded`` are options that cannot be combined with it, with their values.
    """
    for option, value in excluded.items():
        if value:
            name = f"--{option.replace('_', '-')}"
            raise UsageError(
                f"--out - writes a stem to standard output: it cannot be used with {name}"
            )
    if console.stdout.isatty():
        hint = "redirect it (> vocals.wav), or pipe it (| ffplay -)"
        raise UsageError("cannot write a stem to standard output, which is a terminal", hint=hint)


def write_to_stdout(
    console: Console, split: SplitOptions, files: Sequence[str], *, bare: bool
) -> ExitCode:
    """Write one stem of the song ``files`` to standard output; ``bare`` omits the header.

    A reader that stops early is not a failure. Raises the same errors as
    `split_to_stream`, and ``UsageError`` for more than one song or stem.
    """
    from stemsplit.batch.plan import select
    from stemsplit.batch.to_stream import split_to_stream
    from stemsplit.cli.render import Renderer
    from stemsplit.outputs.stream import ReaderGone

    _only_one("stem", select(split).wanted, "--stems vocals")
    song = Path(_only_one("song", files, "run the command once for each song"))
    console.stdout.flush()
    to = console.stdout.buffer
    try:
        with Renderer(console) as renderer:
            for event in split_to_stream(split, song, to, bare=bare):
                renderer.show(event)
    except (BrokenPipeError, ReaderGone):
        pass
    except OSError as exc:
        raise ResourceError(f"standard output cannot be written: {exc.strerror}") from exc
    return ExitCode.DONE


def _only_one(what: str, names: Sequence[str], hint: str) -> str:
    if len(names) != 1:
        reason = f"only one {what} can go to standard output, not {len(names)} ({', '.join(names)})"
        raise UsageError(reason, hint=hint)
    return names[0]
