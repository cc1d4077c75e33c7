"""A running ffmpeg process, which always ends with its context."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import IO, Self, cast

from stemsplit.audio.timeout import VARIABLE as TIMEOUT
from stemsplit.audio.timeout import timeout_seconds
from stemsplit.errors import InputError, ResourceError
from stemsplit.signals import signals_deferred
from stemsplit.stall_timeout import StallTimeout

VARIABLE = "STEMSPLIT_FFMPEG"
#: How many lines of ffmpeg's report are kept; for a badly damaged file it writes one per packet.
KEPT_LINES = 10_000
LINES_AT_A_TIME = 2**16  # bytes
#: ``[mp3 @ 0x55…] [error] text``: any number of contexts, then the level that ``level+`` asks for.
LINE = re.compile(r"(?:\[[^\]]* @ 0x[0-9a-f]+\] )*\[(?P<level>[a-z]+)\] (?P<text>.*)")
#: What ``print`` in an expression of a filter writes, as an error.
NUMBER = re.compile(rb"(?:\[Eval @ 0x[0-9a-f]+\] )?\[error\] (-?\d+\.\d{6})\s*")


def how_to_install() -> str:
    commands = {"darwin": "brew install ffmpeg", "win32": "winget install ffmpeg"}
    command = commands.get(sys.platform, "sudo apt install ffmpeg (or dnf, pacman, apk)")
    return f"install it: {command}; or set {VARIABLE} to its path"


class Process:
    """A running ffmpeg, as a context manager: on exit the process is killed and waited for.

    It runs in its own session, so that Ctrl-C at the terminal reaches only this program.
    With ``feed``, ``stdin`` can be written. The caller must read ``stdout`` to its end, if it is
    needed; a thread reads stderr, because a full pipe would block ffmpeg. ``file`` is the file that
    it works on; `report` leaves out its ``address``.

    It is killed when `read` has waited for ``timeout`` seconds, by default the user's choice.
    """

    def __init__(
        self,
        words: list[str],
        *,
        file: Path | None = None,
        address: str = "",
        feed: bool = False,
        timeout: float | None = None,
    ) -> None:
        self._words = words
        self._file = file
        self._own_address = _as_printed(address)
        self._feed = feed
        self._timeout = StallTimeout(timeout or timeout_seconds(), self.kill)
        self._lines: list[str] = []
        #: What expressions in filters have printed so far; complete once the process has ended.
        self.numbers: list[float] = []

    @property
    def program(self) -> str:
        """The path of ffmpeg."""
        return self._words[0]

    def __enter__(self) -> Self:
        self._stderr_reader = threading.Thread(target=self._read_stderr, daemon=True)
        started = False
        try:
            with signals_deferred():
                self._process = self._start()
                started = True
                self._stderr_reader.start()
        except BaseException:
            if started:
                self.__exit__(None, None, None)
            raise
        return self

    def _start(self) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                self._words,
                stdin=subprocess.PIPE if self._feed else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as exc:
            reason = f"ffmpeg cannot be started: {exc.strerror or exc}"
            raise ResourceError(reason, path=self._words[0], hint=how_to_install()) from exc

    def __exit__(self, *_: object) -> None:
        self._timeout.close()
        self.kill()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):  # unwritten bytes have nowhere to go
                    pipe.close()

    def kill(self) -> None:
        """Kill it with its children; do nothing if it has already ended."""
        if self._process.poll() is None:
            if hasattr(os, "killpg"):
                # It has its own session, and may be a script around the real ffmpeg.
                with contextlib.suppress(OSError):  # it has just ended
                    os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()
        self._process.wait()
        self._stderr_reader.join()

    def _read_stderr(self) -> None:
        for line in _pipe(self._process.stderr):
            if match := NUMBER.fullmatch(line):
                self.numbers.append(float(match[1]))
            elif len(self._lines) < KEPT_LINES:
                self._lines.append(line.decode("utf-8", "replace").rstrip("\r\n"))

    @property
    def stdin(self) -> IO[bytes]:
        """ffmpeg's standard input; available only with ``feed``."""
        return _pipe(self._process.stdin)

    @property
    def stdout(self) -> BufferedReader:
        """ffmpeg's standard output, ``pipe:1``."""
        return cast(BufferedReader, _pipe(self._process.stdout))

    def read(self, size: int) -> bytes:
        """Return the next ``size`` bytes of ``stdout``; fewer only at its end.

        Raises ``InputError``, or ``ResourceError`` if it has no ``file``, when ffmpeg was killed
        because it produced no output for too long. Only the time spent in this method counts.
        """
        pieces: list[bytes] = []
        while size > 0:
            with self._timeout.waiting():
                piece = self.stdout.read1(size)
            if not piece:
                self._refuse_silent()
                break
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def lines(self) -> Iterator[str]:
        """Yield the lines of ``stdout``, short and in ASCII. Raises the same errors as `read`."""
        rest = b""
        while True:
            with self._timeout.waiting():
                piece = self.stdout.read1(LINES_AT_A_TIME)
            if not piece:
                self._refuse_silent()
                return
            *whole, rest = (rest + piece).split(b"\n")
            yield from (line.decode("ascii", "replace") for line in whole)

    def finish(self) -> int:
        """Close the input, wait for the process and return its exit status; 0 is success.

        If output is expected, read it to its end first. Raises the same errors as `read`, except
        with ``feed``, because the remaining work may take long.
        """
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # the status shows why it stopped reading
                self._process.stdin.close()
        with contextlib.nullcontext() if self._feed else self._timeout.waiting():
            status = self._process.wait()
        self._stderr_reader.join()
        self._refuse_silent()
        return status

    def _refuse_silent(self) -> None:
        """Raise the error of `read` if the process was killed because it produced no output."""
        if not self._timeout.expired:
            return
        seconds = f"{self._timeout.seconds:g} s"
        if self._file is None:
            raise ResourceError(
                f"ffmpeg does not work: no answer in {seconds}", path=self._words[0]
            )
        raise InputError(
            f"cannot be decoded: ffmpeg produced no output for {seconds} and was stopped",
            path=self._file,
            hint=f"if the disk or network is that slow, set {TIMEOUT} to more seconds",
        )

    @property
    def report(self) -> str:
        """What ffmpeg wrote to stderr, without the address of its file."""
        text = "\n".join(self._lines)
        return text.replace(self._own_address, "") if self._own_address else text

    @property
    def complaints(self) -> list[str]:
        """The messages of level error and above, each once, without contexts and addresses."""
        found = [LINE.match(line) for line in self.report.split("\n")]
        texts = [m["text"] for m in found if m and m["level"] in ("error", "fatal", "panic")]
        return list(dict.fromkeys(text.removeprefix(": ").strip() for text in texts))

    def refuse_broken(self) -> None:
        """Raise ``ResourceError`` if the program failed because it is not a working ffmpeg.

        ffmpeg always reports what is wrong with a file. One that was killed by a signal did work: a
        damaged song may make it crash, while the next song is fine.
        """
        status = self._process.returncode
        if self.complaints or status < 0:
            return
        # Other programs report what is missing (a library, an interpreter) in their own format.
        nothing = f"it exited with status {status} and printed nothing"
        printed = next((line for line in self._lines if line and not LINE.match(line)), nothing)
        raise ResourceError(
            f"ffmpeg does not work: {printed}",
            path=self._words[0],
            hint=f"set {VARIABLE} to the path of a working one",
        )

    @property
    def reason(self) -> str:
        """Why ffmpeg failed, in its own words.

        This is the first complaint; up to a dozen lines of consequences may follow ("Error opening
        input files", "Terminating thread", "Conversion failed!").
        """
        if self.complaints:
            return self.complaints[0].removeprefix("Error opening input: ")
        status = self._process.returncode
        if status is not None and status < 0:
            return f"ffmpeg was killed by {signal.Signals(-status).name}"
        return f"ffmpeg exited with status {status}"


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise ValueError("this ffmpeg was started without that pipe")
    return pipe


def _as_printed(text: str) -> str:
    """Return ``text`` as ffmpeg's log prints it: most control characters become ``?``."""
    shown = os.fsencode(text).decode("utf-8", "replace")
    return re.sub(r"[\x01-\x07\x0e-\x1f]", "?", shown)
