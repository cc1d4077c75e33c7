"""Progress meters: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import RenderableType

#: Widths in cells: of the bar at least and at most, and of a shortened name at least.
NARROWEST_BAR = 8
WIDEST_BAR = 40
SHORTEST_LABEL = 12
#: What a terminal shows after the bar when Ctrl-C is pressed. If it did not fit beside the bar, it
#: would go to the next line, and the bar would stay on the screen.
ECHO = "^C"
#: How often a bar is drawn per second.
REFRESHES = 8


class Meter:
    """Shows progress; the base class shows nothing. Use as a context manager."""

    def __enter__(self) -> Meter:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def update(
        self, done: float, total: float | None, text: str = "", details: Sequence[str] = ()
    ) -> None:
        """Show ``done`` of ``total``, which is None while unknown.

        Lines also show ``text``. A bar shows ``details``, and drops the last ones first if the
        terminal is too narrow.
        """

    def stop(self) -> None:
        """Remove the meter from the screen."""


@dataclass
class Lines(Meter):
    """A line for every 10 %, for logs and pipes, written by ``note``."""

    note: Callable[[str], None]
    label: str
    _tenth: int = field(default=-1, init=False)

    def update(
        self, done: float, total: float | None, text: str = "", details: Sequence[str] = ()
    ) -> None:
        tenth = int(10 * done / total) if total else 0
        if tenth > self._tenth:
            self._tenth = tenth
            percent = f"{10 * tenth} %" if total else "…"
            self.note(f"{self.label}: {percent}{f', {text}' if text and done else ''}")


@dataclass(frozen=True, slots=True)
class Layout:
    """The layout of a line: the cells of the label and of the bar, and the text."""

    label: int
    bar: int
    text: str


def arrange(label: int, texts: Sequence[str], width: int) -> Layout:
    """Return the layout of a line of ``width`` cells, for a label of ``label`` cells.

    If space is short, the label is shortened first, then the longest of ``texts`` that fits is
    used, and finally the bar is left out. The shortest text is never cut.
    """
    label = max(label, 1)
    wanted = min(label, SHORTEST_LABEL) + 1 + NARROWEST_BAR + 1
    text = next((text for text in texts if wanted + len(text) <= width), texts[-1])
    room = width - len(text) - 1  # of the label, a space and the bar
    if room < NARROWEST_BAR + 3:
        return Layout(max(0, min(label, room)), 0, text)
    bar = min(WIDEST_BAR, max(NARROWEST_BAR, room - 1 - label))
    return Layout(min(label, room - 1 - bar), bar, text)


def shortened(name: str, width: int) -> str:
    """Return ``name``, cut to ``width`` cells, but never below `SHORTEST_LABEL`."""
    from rich.text import Text

    label = Text(name)
    label.truncate(max(width, SHORTEST_LABEL), overflow="ellipsis")
    return label.plain


class Bar(Meter):
    """A bar that redraws itself, and moves to and fro while the total is unknown."""

    def __init__(self, stream: TextIO, label: str) -> None:
        # Imported here: it takes a quarter of a second, and only terminals need it.
        from rich.console import Console as RichConsole
        from rich.live import Live

        self.drawn = True
        self._encoding = stream.encoding or "utf-8"
        self._label = self._escaped(label)
        self._done: float = 0
        self._total: float | None = None
        self._details: Sequence[str] = ()
        self._console = RichConsole(file=stream)
        self._live = Live(
            get_renderable=self._line,
            console=self._console,
            transient=True,
            refresh_per_second=REFRESHES,
        )
        self._live.start(refresh=True)

    def update(
        self, done: float, total: float | None, text: str = "", details: Sequence[str] = ()
    ) -> None:
        self._done, self._total, self._details = done, total, details

    def say(self, line: str) -> None:
        """Write ``line`` above the bar."""
        self._console.print(line, markup=False, highlight=False, emoji=False, soft_wrap=True)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Remove the bar from the screen while something else is written to the terminal."""
        drawn = self.drawn
        if drawn:
            self._live.stop()
        try:
            yield
        finally:
            if drawn:
                self._live.start(refresh=True)

    def stop(self) -> None:
        self._live.stop()
        self.drawn = False

    def _line(self) -> RenderableType:
        """Return the bar as it is now: label, bar, percent and details."""
        from rich.cells import cell_len
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        done, total = self._done, self._total
        percent = f"{int(100 * done / total):3}%" if total else ""
        room = self._console.width - len(ECHO) - 1  # the last column of a grid ends with a space
        layout = arrange(cell_len(self._label), self._texts(percent), room)
        label = Text(self._label, no_wrap=True)
        label.truncate(layout.label, overflow="ellipsis" if self._shows_all else "crop")
        cells: list[RenderableType] = [label, Text(layout.text, no_wrap=True)]
        if layout.bar:
            bar = ProgressBar(total=total or None, completed=done, width=layout.bar)
            cells.insert(1, bar)
        line = Table.grid(padding=(0, 1))
        for _ in cells:
            line.add_column(no_wrap=True)
        line.add_row(*cells)
        return line

    def _texts(self, percent: str) -> list[str]:
        """Return the possible texts after the bar, from the longest to the shortest."""
        counts = range(len(self._details), min(1, len(self._details)) - 1, -1)
        return [
            self._escaped(" ".join(filter(None, (percent, ", ".join(self._details[:count])))))
            for count in counts
        ]

    def _escaped(self, text: str) -> str:
        """Return ``text`` as the encoding of the terminal can show it."""
        text = text if self._shows_all else text.replace("×", "x")
        return text.encode(self._encoding, "backslashreplace").decode(self._encoding)

    @property
    def _shows_all(self) -> bool:
        return self._encoding.lower().startswith("utf")
