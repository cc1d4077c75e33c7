"""Everything shown to the user: data on stdout, everything else on stderr, by this class alone."""

from __future__ import annotations

import codecs
import contextlib
import json
import os
import shutil
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from stemsplit.errors import DISK_FULL, FREE_SPACE, ResourceError, StemsplitError, printable
from stemsplit.types import ProgressStyle

if TYPE_CHECKING:
    from stemsplit.cli.meters import Bar, Meter

#: How text is encoded for stdout: see `_escape`.
ESCAPED = "stemsplit.escaped"
EVENT_SCHEMA = 1  # of the objects that --progress ndjson writes


def _escape(error: UnicodeError) -> tuple[str | bytes, int]:
    """Return a replacement for a character that a stream cannot encode, and where to resume.

    File names may contain bytes that are not text; they are written unchanged. Characters missing
    from the encoding are escaped as in Python (``\\xe9``): a song does not fail because its name
    cannot be shown.
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    char = error.object[error.start]
    if "\udc80" <= char <= "\udcff":
        return bytes([ord(char) - 0xDC00]), error.start + 1
    return char.encode("ascii", "backslashreplace").decode(), error.start + 1


codecs.register_error(ESCAPED, _escape)


@dataclass
class Console:
    """Two streams, and how much is written to the second.

    ``quiet`` 1 hides progress and notes, 2 also hides warnings; errors are always shown.
    ``verbose`` 1 shows each step and how long it took. ``debug`` shows tracebacks of unexpected
    errors. ``style`` "ndjson" makes every line on stderr a JSON object, for programs.
    """

    stdout: TextIO
    stderr: TextIO
    quiet: int = 0
    verbose: int = 0
    json: bool = False
    style: ProgressStyle = "auto"
    debug: bool = False
    #: Names to show instead of paths: the path of a temporary file means nothing to the user.
    names: dict[str, str] = field(default_factory=dict)
    _bar: Bar | None = field(default=None, init=False)

    def data(self, text: str) -> None:
        """Write one line of data immediately: its reader may be waiting.

        A closed pipe is ignored, since the files are still wanted. Raises ``ResourceError`` if the
        line cannot be written for another reason.
        """
        line = (text + "\n").encode(self.stdout.encoding or "utf-8", ESCAPED)
        with self._bar.paused() if self._bar is not None else contextlib.nullcontext():
            self._write_data(line)

    def _write_data(self, line: bytes) -> None:
        try:
            if hasattr(self.stdout, "buffer"):
                self.stdout.flush()
                self.stdout.buffer.write(line)
            else:
                self.stdout.write(line.decode(errors="replace"))
            self.stdout.flush()
        except BrokenPipeError:
            pass
        except OSError as exc:
            hint = FREE_SPACE if exc.errno in DISK_FULL else None
            reason = f"standard output cannot be written: {exc.strerror}"
            raise ResourceError(reason, hint=hint) from exc

    def record(self, values: Mapping[str, Any]) -> None:
        """Write one object as a line of JSON."""
        self.data(json.dumps(self._renamed(values)))

    def error(self, error: StemsplitError, song: Path | None = None) -> None:
        """Report an error, perhaps with one ``song``, and its hint on a second line."""
        if self.debug and error.trace:
            self._say(error.trace.rstrip())
        if self.style == "ndjson":
            code = error.exit_code.value
            self.event("error", **_of(song), error=str(error), hint=error.hint, exit_code=code)
            return
        self._say(f"stemsplit: error: {self._renamed(str(error))}")
        if error.hint:
            self._say(f"hint: {printable(error.hint)}")

    def warn(self, message: str, song: Path | None = None) -> None:
        """Write a warning, perhaps about one ``song``, on one line."""
        if self.quiet < 2:
            self._remark("warning", message, "stemsplit: warning: ", **_of(song))

    def note(self, message: str) -> None:
        """Write a note on progress, on one line."""
        if self.quiet < 1:
            self._remark("note", message)

    def paragraph(self, message: str) -> None:
        """Write a note, broken between words if the terminal is narrower."""
        for line in wrap(message, self.note_columns):
            self.note(line)

    def detail(self, message: str) -> None:
        """Write a detail that only --verbose shows."""
        if self.verbose and not self.quiet:
            self._remark("detail", message)

    def event(self, event: str, **facts: Any) -> None:
        """Write ``event`` and its ``facts`` as a JSON object on one line."""
        self._say(json.dumps({"schema": EVENT_SCHEMA, "event": event, **self._renamed(facts)}))

    def _remark(self, kind: str, message: str, prefix: str = "", **facts: Any) -> None:
        if self.style == "ndjson":
            self.event(kind, **facts, message=message)
        else:
            self._say(f"{prefix}{self._renamed(printable(message))}")

    def _renamed(self, value: Any) -> Any:
        """Return the JSON-compatible ``value`` with ``names`` in place of paths."""
        if isinstance(value, str):
            for path, name in self.names.items():
                value = value.replace(path, name)
        elif isinstance(value, Mapping):
            return {key: self._renamed(each) for key, each in value.items()}
        elif isinstance(value, list):
            return [self._renamed(each) for each in value]
        return value

    def progress(self, label: str) -> Meter:
        """Return a meter to update: a bar on a terminal, lines elsewhere, nothing if quiet.

        It also shows nothing with ``style`` "ndjson", where ``event`` reports the progress.
        """
        # Imported here: most commands show no progress.
        from stemsplit.cli.meters import Bar, Lines, Meter

        if self.quiet or self.style in ("none", "ndjson"):
            return Meter()
        label = printable(label)
        if not self.draws_bars:
            return Lines(self.note, label)
        self._bar = Bar(self.stderr, label)
        return self._bar

    @property
    def draws_bars(self) -> bool:
        """Whether progress is shown as a bar that redraws itself."""
        return not self.quiet and (
            self.style == "bar" or (self.style == "auto" and self.on_terminal)
        )

    @property
    def on_terminal(self) -> bool:
        """Whether stderr is a terminal that can redraw a line."""
        return self.stderr.isatty() and os.environ.get("TERM") != "dumb"

    @property
    def for_people(self) -> bool:
        """Whether a person reads stderr on a terminal, and no program reads the output."""
        return self.on_terminal and not self.json and self.style != "ndjson"

    @property
    def coloured(self) -> bool:
        """Whether stdout may be coloured."""
        plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
        return self.stdout.isatty() and not plain

    @property
    def columns(self) -> int:
        """The width of the terminal; 80 if there is none, and COLUMNS does not say otherwise."""
        return shutil.get_terminal_size().columns

    @property
    def note_columns(self) -> int:
        """The width of the terminal that stderr is, even if stdout is not one."""
        try:
            columns = os.get_terminal_size(self.stderr.fileno()).columns
        except (OSError, ValueError):
            columns = 0
        return columns if columns and not os.environ.get("COLUMNS") else self.columns

    def _say(self, line: str) -> None:
        encoding = self.stderr.encoding or "utf-8"
        line = line.encode(encoding, "backslashreplace").decode(encoding)
        if self._bar is not None and self._bar.drawn:
            self._bar.say(line)
        else:
            # A full disk or a closed pipe must not stop the work.
            with contextlib.suppress(OSError):
                self.stderr.write(line + "\n")
                self.stderr.flush()


def _of(song: Path | None) -> dict[str, str]:
    """Return the key of an event that names its song, if it is about one."""
    return {} if song is None else {"input": str(song)}


def wrap(line: str, columns: int, indent: int = 0) -> list[str]:
    """Return ``line``, broken between words into lines of ``columns`` where possible.

    Lines after the first begin with ``indent`` spaces.
    """
    if len(line) <= columns or columns <= 2 * indent:
        return [line]
    return textwrap.wrap(
        line,
        columns,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def clock(seconds: float) -> str:
    """Return ``seconds`` as h:mm:ss or m:ss."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
