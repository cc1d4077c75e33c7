"""Showing what happens in a run: the one place that knows how each event looks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stemsplit.cli.console import Console, Meter, clock
from stemsplit.types import (
    Counted,
    Event,
    Fetching,
    Finished,
    Loaded,
    NotAudio,
    Noted,
    Opened,
    Planned,
    Progressed,
    Scoring,
    WaitingForOthers,
    Warned,
)

_MEGABYTE = 1e6


class Renderer:
    """Shows the events of a run on a ``console``. As a context manager it clears its bar."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._screen = _Objects(console) if console.style == "ndjson" else _Screen(console)

    def __enter__(self) -> Renderer:
        return self

    def __exit__(self, *_: object) -> None:
        self._screen.clear()

    def show(self, event: Event) -> None:
        """Show ``event``."""
        match event:
            case Warned(message, song):
                self._console.warn(message, song)
            case Noted(message):
                self._console.note(message)
            case Loaded(model, execution, seconds):
                self._console.detail(f"{model} on {execution}, loaded in {seconds:.1f} s")
            case NotAudio(song, reason):
                self._console.detail(f"{song}: skipped: {reason}")
            case WaitingForOthers(songs):
                what = f"{len(songs)} songs" if len(songs) > 1 else songs[0]
                self._console.note(f"waiting for another process to finish {what}")
            case _:
                self._screen.show(event)


class _Objects:
    """Events as objects on stderr, one a line."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def show(self, event: Event) -> None:
        match event:
            case Fetching(name, source, done, total):
                self._write("fetching", model=name, source=source, done=done, total=total)
            case Opened(song, info):
                self._write(
                    "opened",
                    input=str(song),
                    codec=info.codec,
                    sample_rate=info.sample_rate,
                    channels=info.channels,
                    duration=info.duration,
                )
            case Progressed(song, done, total):
                self._write("separated", input=str(song), done=done, total=total)
            case Finished(song, stems, frames=frames, projects=projects):
                further = {"projects": _texts(projects)} if projects else {}
                outputs = {"stems": _texts(stems)} | further
                self._write("finished", input=str(song), frames=frames, **outputs)

    def clear(self) -> None:
        """Do nothing: objects stay."""

    def _write(self, event: str, **facts: Any) -> None:
        if not self._console.quiet:
            self._console.event(event, **facts)


def _texts(paths: Mapping[Any, Path]) -> dict[str, str]:
    return {name: str(path) for name, path in paths.items()}


class _Screen:
    """The meter of the moment: consecutive events of one kind share it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._labels: Mapping[Path, str] = {}
        self._meter = Meter()
        self._shown: str | None = None
        self._counts = False  # songs of several devices are counted, not followed one by one

    def show(self, event: Event) -> None:
        match event:
            case Planned():
                self._labels = _number(event)
            case Fetching(name, source, done, total):
                text = f"{done / _MEGABYTE:.0f} MB" if done else ""
                self._turn_to(f"fetching {name} from {source}").update(done or 0, total, text)
            case Opened(song, info):
                length = "length unknown" if info.duration is None else clock(info.duration)
                self._console.detail(
                    f"{song}: {info.codec}, {info.sample_rate} Hz, "
                    f"{info.stored_channels} channels, {length}"
                )
            case Progressed():
                self._show_progress(event)
            case Scoring(song, done, total):
                self._show_scoring(self._labels.get(song, song.name), done, total)
            case Counted(done, total, devices):
                self._counts = True
                label = f"{total} songs on {', '.join(devices)}"
                self._turn_to(label).update(done, total, f"{done} of {total}" if done else "")

    def clear(self) -> None:
        """Take the meter off the screen; the next event gets a new one."""
        self._meter.stop()
        self._shown = None

    def _turn_to(self, label: str) -> Meter:
        if self._shown != label:
            self._meter.stop()
            self._meter, self._shown = self._console.progress(label), label
        return self._meter

    def _show_progress(self, event: Progressed) -> None:
        if self._counts:
            return
        label = self._labels.get(event.song, event.song.name)
        left = event.seconds_left
        text = "" if left is None else f"{event.speed:.1f}× real time, {clock(left)} left"
        self._turn_to(label).update(event.done, event.total, text)
        if event.done == event.total and event.done:
            length = clock(event.total / event.sample_rate)
            self._console.detail(f"{label}: {length} in {event.elapsed:.1f} s")

    def _show_scoring(self, label: str, done: int, total: int) -> None:
        """Show it on a terminal; elsewhere that it begins, for it is soon done."""
        label = f"scoring {label}"
        if self._console.on_terminal:
            self._turn_to(label).update(done, total or None)
        elif not done:
            self._console.note(label)


def _number(planned: Planned) -> dict[Path, str]:
    """Return the label of each song: its name, with its number if there are several."""
    several, songs = planned.entries > 1, planned.songs
    return {
        path: f"[{number}/{len(songs)}] {name}" if several else name
        for number, (path, name) in enumerate(songs.items(), 1)
    }
