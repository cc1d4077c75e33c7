"""Locates ffmpeg, checks its version and builds its command lines."""

from __future__ import annotations

import os
import re
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from stemsplit.audio.demuxers import SELF_CONTAINED
from stemsplit.audio.ffmpeg_facts import major_version, version_of
from stemsplit.audio.process import VARIABLE, Process, how_to_install
from stemsplit.errors import ResourceError

#: The tested major versions; newer ones are tried, older ones are refused.
OLDEST, NEWEST = 5, 9
#: How a report begins, unless ``-hide_banner`` leaves it out.
_INTRODUCTION = re.compile(r"\[info\] ffmpeg version (\S+) ")
#: Placeholder for the file in a graph of ffmpeg-python, which cannot take names that are not UTF-8.
FILE = "file:<FILE>"


def find_ffmpeg() -> str:
    """Return the path of ffmpeg: from ``$STEMSPLIT_FFMPEG``, PATH or the wheel, in that order.

    Raises ``ResourceError`` if none is found, if the variable does not name a program, and for a
    version before 5.
    """
    program = _locate()
    with suppress(_DoesNotRun):  # the next call reports why
        _refuse_old(program, _version_of(program))
    return program


def _locate() -> str:
    if chosen := os.environ.get(VARIABLE):
        if found := shutil.which(chosen):
            return found
        raise ResourceError(
            f"${VARIABLE} does not name a program: {chosen}",
            hint=f"set it to the path of ffmpeg, or unset it (unset {VARIABLE})",
        )
    if found := shutil.which("ffmpeg"):
        return found
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError) as exc:
        raise ResourceError("ffmpeg was not found", hint=how_to_install()) from exc


class _DoesNotRun(Exception):
    """A program does not report a version."""


#: The versions that programs have reported to this process.
_VERSIONS: dict[str, str] = {}


def _version_of(program: str) -> str:
    if program not in _VERSIONS:
        try:
            _VERSIONS[program] = version_of(program)
        except ResourceError as exc:
            raise _DoesNotRun from exc
    return _VERSIONS[program]


def _refuse_old(program: str, version: str) -> None:
    """Raise ``ResourceError`` if ``version`` of ``program``, an ffmpeg, is before 5."""
    major = major_version(version)
    if major is not None and major < OLDEST:
        reason = f"this ffmpeg is too old: {version}; versions {OLDEST} to {NEWEST} work"
        raise ResourceError(reason, path=program, hint=how_to_install())


def address(path: Path) -> str:
    """Return ``path`` in a form that ffmpeg always treats as a file, whatever its name."""
    return f"file:{path.absolute()}"


def file_input(**options: Any) -> Any:
    """Return the input of a graph for the file given to ``command``, with ``options`` of ffmpeg.

    ffmpeg opens this file only: formats that refer to other files or addresses are refused.
    """
    import ffmpeg  # imported late: a file that is missing needs none of it

    only = {"protocol_whitelist": "file", "format_whitelist": SELF_CONTAINED}
    return ffmpeg.input(FILE, **only, **options)


def file_stream(which: str, **options: Any) -> Any:
    """Return one stream (``a:0``, or ``1``) of ``file_input``."""
    return file_input(**options)[which]


def raw_input(*, sample_rate: int, channels: int, format: str = "f32le") -> Any:
    """Return the raw samples on ffmpeg's standard input as a stream of a graph."""
    import ffmpeg

    form = {"format": format, "ar": sample_rate, "ac": channels}
    return ffmpeg.input("pipe:0", protocol_whitelist="pipe", **form)


def command(
    graph: Any, *, file: Path | None = None, level: str = "error", introduced: bool = False
) -> list[str]:
    """Return the command line of ``graph`` (of ffmpeg-python), with ``file`` in place of ``FILE``.

    ``level`` is the least severe level of messages that ffmpeg reports. If it is "info" and the
    report is to be ``introduced`` by the version, the caller calls `check_version` afterwards.
    """
    program = [_locate()] if introduced else [find_ffmpeg(), "-hide_banner"]
    program += ["-nostdin", "-nostats", "-loglevel", f"level+{level}"]
    words: list[str] = graph.compile(cmd=program, overwrite_output=True)
    return words if file is None else [address(file) if w == FILE else w for w in words]


def process_of(
    graph: Any, *, file: Path | None = None, feed: bool = False, **options: Any
) -> Process:
    """Return the process of ``graph``, a context manager; see ``command`` for the ``options``."""
    where = "" if file is None else address(file)
    return Process(command(graph, file=file, **options), file=file, address=where, feed=feed)


def check_version(process: Process) -> None:
    """Raise ``ResourceError`` if a finished ``process`` is that of an ffmpeg before version 5.

    Its report was to be ``introduced`` by the version, so that it need not be asked for in a
    process of its own.
    """
    if found := _INTRODUCTION.match(process.report):
        _VERSIONS[process.program] = found[1]
    find_ffmpeg()
