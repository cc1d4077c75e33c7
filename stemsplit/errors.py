"""The error hierarchy. Each error knows its exit code and can carry a hint."""

from __future__ import annotations

import copy
import errno
import os
import traceback
from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of the program; the man page documents them as a contract."""

    DONE = 0
    DEFECT = 1
    USAGE = 2
    FILE = 3
    CHECKPOINT = 4
    ENVIRONMENT = 5
    PARTLY = 6
    INTERRUPTED = 130
    TERMINATED = 143


#: How torch reports, as a ``RuntimeError``, that the CPU is out of memory.
NO_MEMORY = "DefaultCPUAllocator: can't allocate memory"
#: A full disk, an exceeded quota, and a file at its size limit.
DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
#: What to do about it if there is no choice of another place.
FREE_SPACE = "free some space on the disk"


def printable(text: object) -> str:
    """Return ``text`` on one line: control characters and lone surrogates become escapes.

    File names may hold newlines and bytes that are not text; an error message must not.
    """
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode()
        for char in str(text)
    )


class StemsplitError(Exception):
    """What went wrong, as one line ``PATH: reason``, and an optional hint on how to fix it.

    ``trace`` is the traceback as text, so that it can be sent from one process to another.
    """

    exit_code = ExitCode.DEFECT

    def __init__(
        self,
        reason: str,
        *,
        path: str | os.PathLike[str] | None = None,
        hint: str | None = None,
    ) -> None:
        self.reason = reason
        self.path = None if path is None else os.fspath(path)
        self.hint = hint
        self.trace: str | None = None
        super().__init__(reason)

    def __str__(self) -> str:
        text = self.reason if self.path is None else f"{self.path}: {self.reason}"
        return printable(text)


class UsageError(StemsplitError, ValueError):
    """A wrong option, an unknown name, or settings that contradict each other."""

    exit_code = ExitCode.USAGE


class InputError(StemsplitError):
    """An input that cannot be read, is not audio, or is damaged."""

    exit_code = ExitCode.FILE


class NoAudioError(InputError):
    """A file without sound: a picture, a video without an audio stream."""


class OutputError(StemsplitError):
    """An output that cannot be written, or already exists."""

    exit_code = ExitCode.FILE


class CheckpointError(StemsplitError):
    """A checkpoint that is missing, unreachable, altered, or made for another model."""

    exit_code = ExitCode.CHECKPOINT


class ResourceError(StemsplitError):
    """The machine lacks something: ffmpeg, a device, memory, disk space."""

    exit_code = ExitCode.ENVIRONMENT


class MissingDevice(ResourceError):
    """A device that this machine does not have, or that does not work: no song can be split."""


class MemoryShortage(ResourceError):
    """A device does not have enough memory."""


def disk_full(words: str, path: str | os.PathLike[str], *, hint: str) -> ResourceError:
    """Return the error for a full disk at ``path``; ``words`` is the system's message."""
    return ResourceError(f"the disk is full ({words})", path=path, hint=hint)


def describe(exc: Exception, song: str | os.PathLike[str] | None = None) -> StemsplitError:
    """Return ``exc`` as an error to report, naming the ``song`` that it concerns.

    Our own errors keep their message; any other exception goes through `unexpected`.
    """
    if not isinstance(exc, StemsplitError):
        return unexpected(exc, song)
    if exc.exit_code == ExitCode.DEFECT and exc.trace is None:
        exc.trace = "".join(traceback.format_exception(exc))
    if song is None or exc.path is not None:
        return exc
    error = copy.copy(exc)  # several songs may fail with the same error
    error.path = os.fspath(song)
    return error


def unexpected(exc: Exception, song: str | os.PathLike[str] | None = None) -> StemsplitError:
    """Return the error for an exception that our code did not expect.

    Lack of memory, a full disk, a deleted current folder and a library that does not load are
    problems of the machine; everything else is a defect, reported with the line that raised it.
    """
    if isinstance(exc, OSError) and exc.errno == errno.ENOSPC:  # as under `--help >/dev/full`
        reason = exc.strerror or "no space left"
        return ResourceError(reason, path=exc.filename or song, hint=FREE_SPACE)
    if isinstance(exc, FileNotFoundError) and not _current_folder_exists():
        hint = "change to another folder, for example with: cd"
        return ResourceError("the current folder was deleted", hint=hint)
    if isinstance(exc, MemoryError) or NO_MEMORY in str(exc):
        return MemoryShortage("out of memory", path=song, hint="close other programs")
    if isinstance(exc, ImportError) and not (exc.name or "").startswith("stemsplit"):
        reason = str(exc).partition("\n")[0]
        hint = "reinstall stemsplit; stemsplit doctor shows what else is missing"
        return ResourceError(f"a library cannot be loaded: {reason}", hint=hint)
    last = traceback.extract_tb(exc.__traceback__)[-1]
    place = f"{os.path.basename(last.filename)}:{last.lineno}"
    error = StemsplitError(
        f"{type(exc).__name__}: {exc} ({place})",
        path=song,
        hint="this is a bug in stemsplit; please report it with the output of --debug",
    )
    error.trace = "".join(traceback.format_exception(exc))
    return error


def _current_folder_exists() -> bool:
    """Return whether the current folder exists."""
    try:
        os.getcwd()
    except OSError:
        return False
    return True
