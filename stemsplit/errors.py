"""One tree of errors. Each knows its exit code and, where there is one, a hint for the person."""

from __future__ import annotations

import errno
import os
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


#: The system's words for a disk, a quota or a file that takes no more.
DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def printable(text: object) -> str:
    """Return ``text`` on one line: control characters and lone surrogates become escapes.

    File names may hold newlines and bytes that are no text; an error message may not.
    """
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode()
        for char in str(text)
    )


class StemsplitError(Exception):
    """Something a person can be told in one line: ``PATH: reason``, and what to do about it.

    ``trace`` is where it comes from, for those who mend it: as text, which may go from one process
    to another.
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
    """An input that cannot be read, is no audio, or is damaged."""

    exit_code = ExitCode.FILE


class NoAudioError(InputError):
    """A file of which there is nothing to hear: a picture, a film without sound."""


class OutputError(StemsplitError):
    """An output that cannot be written, or is there already."""

    exit_code = ExitCode.FILE


class CheckpointError(StemsplitError):
    """A checkpoint that is missing, unreachable, not what it should be, or not for this model."""

    exit_code = ExitCode.CHECKPOINT


class ResourceError(StemsplitError):
    """The machine lacks something: ffmpeg, a device, memory, disk space."""

    exit_code = ExitCode.ENVIRONMENT


class MemoryShortage(ResourceError):
    """The memory of a device does not suffice for what was tried."""


def disk_full(words: str, path: str | os.PathLike[str], *, hint: str) -> ResourceError:
    """Return the error for a place that takes no more, with the system's own ``words`` for it."""
    return ResourceError(f"the disk is full ({words})", path=path, hint=hint)
