"""Show the events of a run: the only place that decides how each event looks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from stemsplit.cli.announcement import (
    MEGABYTE,
    Announcement,
    describe_estimate,
    describe_transfer,
)
from stemsplit.cli.console import Console, clock
from stemsplit.cli.forecast import Forecast, TransferRate
from stemsplit.cli.meters import Meter
from stemsplit.types import (
    Counted,
    Estimated,
    Event,
    Fetching,
    Finished,
    Loaded,
    Loading,
    NotAudio,
    Noted,
    Opened,
    Planned,
    Progressed,
    Scanning,
    Scoring,
    Surveyed,
    WaitingForOthers,
    Warned,
)


class Renderer:
    """Shows the events of a run on a ``console``. As a context manager it clears its bar."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._screen = _Objects(console) if console.style == "ndjson" else _Screen(console)

    def __enter__(self) -> Renderer:
        return self

    def __exit__(self, *_: object) -> None:
        self._screen.clear()

    def end(self, song: Path) -> None:
        """Remove the progress of ``song`` from the screen: its result is known."""
        self._screen.end(song)

    def show(self, event: Event) -> None:
        """Show ``event``."""
        match event:
            case Warned(message, song):
                self._console.warn(message, song)
            case Noted(message):
                self._screen.clear()
                self._console.note(message)
            case Loaded(model, execution, seconds):
                self._console.detail(f"{model} on {execution}, loaded in {seconds:.1f} s")
                self._screen.show(event)
            case NotAudio(song, reason):
                self._console.detail(f"{song}: skipped: {reason}")
            case WaitingForOthers(songs):
                what = f"{len(songs)} songs" if len(songs) > 1 else songs[0]
                self._console.note(f"waiting for another process to finish {what}")
            case _:
                self._screen.show(event)


class _Objects:
    """Events as JSON objects on stderr, one per line."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def show(self, event: Event) -> None:
        match event:
            case Fetching(name, source, done, total, stage):
                facts = {"done": done, "total": total, "stage": stage}
                self._write("fetching", model=name, source=source, **facts)
            case Estimated():
                self._write("estimated", **asdict(event))
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

    def end(self, song: Path) -> None:
        """Do nothing: objects stay."""

    def clear(self) -> None:
        """Do nothing: objects stay."""

    def _write(self, event: str, **facts: Any) -> None:
        if not self._console.quiet:
            self._console.event(event, **facts)


def _texts(paths: Mapping[Any, Path]) -> dict[str, str]:
    return {name: str(path) for name, path in paths.items()}


class _Screen:
    """The current meter: consecutive events of one kind share it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._labels: Mapping[Path, str] = {}
        self._meter = Meter()
        self._shown: str | None = None
        self._counts = False  # songs on several devices are counted, not shown one by one
        self._forecast = Forecast()
        self._rate = TransferRate()
        self._announcement = Announcement(console)

    def show(self, event: Event) -> None:
        match event:
            case Planned():
                self._labels, self._counts = _number(event), False
                self._forecast.begin()
                self._announcement.begin(event)
            case Fetching():
                self._show_download(event)
            case Loading(model):
                self._show_moving(f"loading {model}")
            case Scanning(song):
                self._show_moving(self._label(song))
            case Loaded():
                self._forecast.earlier_speed = event.speed
                self._announcement.loaded = event
            case Surveyed(lengths):
                self._forecast.survey(lengths)
            case Opened(song, info):
                length = "length unknown" if info.duration is None else clock(info.duration)
                self._console.detail(
                    f"{song}: {info.codec}, {info.sample_rate} Hz, "
                    f"{info.stored_channels} channels, {length}"
                )
            case Progressed():
                self._forecast.add(event)
                self._announcement.show(event, self._forecast)
                self._show_progress(event)
            case Estimated():
                self._console.note(describe_estimate(event))
            case Scoring(song, done, total):
                self._show_scoring(self._label(song), done, total)
            case Counted():
                self._show_count(event)

    def end(self, song: Path) -> None:
        """Remove the meter from the screen unless it shows another song, or all of them."""
        self._forecast.end(song)
        if self._shown is None or self._counts:
            return
        shown = (path for path, label in self._labels.items() if label == self._shown)
        if all(path == song for path in shown):
            self.clear()

    def clear(self) -> None:
        """Remove the meter from the screen; the next event gets a new one."""
        self._meter.stop()
        self._shown = None

    def _label(self, song: Path) -> str:
        return self._labels.get(song, song.name)

    def _turn_to(self, label: str) -> Meter:
        if self._shown != label:
            self._meter.stop()
            self._meter, self._shown = self._console.progress(label), label
        return self._meter

    def _show_moving(self, label: str) -> None:
        """Show a moving bar on a terminal, and nothing elsewhere."""
        if self._console.draws_bars and not self._counts:
            self._turn_to(label).update(0, None)

    def _show_download(self, event: Fetching) -> None:
        label, done, total = f"fetching {event.name} from {event.source}", event.done, event.total
        details = ["converting"] if event.stage == "convert" else []
        if done is not None and event.stage == "download":
            self._rate.add(done)
            details = list(describe_transfer(done, total, self._rate.bytes_per_second))
        text = f"{done / MEGABYTE:.0f} MB" if done else ""
        self._turn_to(label).update(done or 0, total, text, details)

    def _show_count(self, event: Counted) -> None:
        self._counts = True
        done, total = event.done, event.total
        counted = f"{done} of {total}" if done else ""
        left = self._forecast.seconds_left
        details = [] if left is None else [f"{clock(left)} left"]
        meter = self._turn_to(f"{total} songs on {', '.join(event.devices)}")
        meter.update(done, total, counted, [*details, f"{done} of {total}"])

    def _show_progress(self, event: Progressed) -> None:
        if self._counts:
            return
        label, left = self._label(event.song), event.seconds_left
        text = "" if left is None else f"{_speed(event)}, {clock(left)} left"
        # A bar moves until the first segment is done; lines begin with 0 %.
        moves = not event.done and self._console.draws_bars
        total = None if moves else event.total
        self._turn_to(label).update(event.done, total, text, self._details(event))
        if event.done == event.total and event.done:
            length = clock(event.total / event.sample_rate)
            self._console.detail(f"{label}: {length} in {event.elapsed:.1f} s")

    def _details(self, event: Progressed) -> list[str]:
        """Return the details beside a bar: time left for this song and for all, and the speed."""
        left = event.seconds_left
        if left is None:
            of_all = self._forecast.seconds_left
        elif event.done == event.total:
            return ["writing"]
        else:
            of_all = self._forecast.seconds_left_with(event)
        for_all = [] if of_all is None else [f"{clock(of_all)} for all"]
        return for_all if left is None else [f"{clock(left)} left", *for_all, _speed(event)]

    def _show_scoring(self, label: str, done: int, total: int) -> None:
        """Show progress on a terminal; elsewhere only the start, since scoring is fast."""
        label = f"scoring {label}"
        if self._console.on_terminal:
            self._turn_to(label).update(done, total or None)
        elif not done:
            self._console.note(label)


def _speed(event: Progressed) -> str:
    return f"{event.speed:.1f}× real time"


def _number(planned: Planned) -> dict[Path, str]:
    """Return the label of each song: its name, with its number if there are several."""
    several, songs = planned.entries > 1, planned.songs
    return {
        path: f"[{number}/{len(songs)}] {name}" if several else name
        for number, (path, name) in enumerate(songs.items(), 1)
    }
