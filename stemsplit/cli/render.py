"""Showing what comes up from below: one place that knows how each event looks."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from stemsplit.cli.console import Console, Meter, Pace, clock
from stemsplit.types import Event, Fetching, Finished, Opened, Progressed, StreamInfo, Warned

_MEGABYTE = 1e6


def show(
    console: Console, events: Iterable[Event], label: str, song: Path | None = None
) -> Finished | None:
    """Show ``events`` as they come; return how it ended, if they are those of a ``song``."""
    finished = None
    screen = _Stream(console, song) if console.style == "ndjson" else _Screen(console, label)
    with screen:
        for event in events:
            match event:
                case Warned(message):
                    console.warn(message, song)
                case Fetching(name, source, done, total):
                    screen.fetching(name, source, done, total)
                case Opened(info):
                    screen.opened(info)
                case Progressed(done, total):
                    screen.separated(done, total)
                case Finished():
                    screen.finished(event)
                    finished = event
    return finished


class _Stream:
    """Events as objects on stderr, one a line."""

    def __init__(self, console: Console, song: Path | None) -> None:
        self._console = console
        self._input = None if song is None else str(song)

    def __enter__(self) -> _Stream:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def _tell(self, event: str, **facts: Any) -> None:
        if not self._console.quiet:
            self._console.event(event, **facts)

    def fetching(self, name: str, source: str, done: int | None, total: int | None) -> None:
        self._tell("fetching", model=name, source=source, done=done, total=total)

    def opened(self, info: StreamInfo) -> None:
        self._tell(
            "opened",
            input=self._input,
            codec=info.codec,
            sample_rate=info.sample_rate,
            channels=info.channels,
            duration=info.duration,
        )

    def separated(self, done: int, total: int) -> None:
        self._tell("separated", input=self._input, done=done, total=total)

    def finished(self, event: Finished) -> None:
        stems = {name: str(path) for name, path in event.stems.items()}
        projects = {name: str(path) for name, path in event.projects.items()}
        further = {"projects": projects} if projects else {}
        self._tell("finished", input=self._input, frames=event.frames, stems=stems, **further)


class _Screen:
    """The meter of the moment: events of one kind share one."""

    def __init__(self, console: Console, label: str) -> None:
        self._console = console
        self._label = label
        self._meter = Meter()
        self._of: str | None = None
        self._pace = Pace()
        self._sample_rate = 1

    def __enter__(self) -> _Screen:
        return self

    def __exit__(self, *_: object) -> None:
        self._meter.stop()

    def _turn_to(self, label: str) -> Meter:
        if self._of != label:
            self._meter.stop()
            self._meter, self._of, self._pace = self._console.progress(label), label, Pace()
        return self._meter

    def fetching(self, name: str, source: str, done: int | None, total: int | None) -> None:
        text = f"{done / _MEGABYTE:.0f} MB" if done else ""
        self._turn_to(f"fetching {name} from {source}").update(done or 0, total, text)

    def opened(self, info: StreamInfo) -> None:
        self._sample_rate = info.sample_rate
        length = "length unknown" if info.duration is None else clock(info.duration)
        self._console.detail(
            f"{info.path}: {info.codec}, {info.sample_rate} Hz, "
            f"{info.stored_channels} channels, {length}"
        )

    def finished(self, event: Finished) -> None:
        """Say nothing: the paths on stdout tell it."""

    def separated(self, done: int, total: int) -> None:
        meter = self._turn_to(self._label)
        at, end = done / self._sample_rate, total / self._sample_rate
        meter.update(at, end, self._pace.describe(at, end))
        if done == total and done:
            self._console.detail(f"{self._label}: {clock(end)} in {self._pace.elapsed:.1f} s")
