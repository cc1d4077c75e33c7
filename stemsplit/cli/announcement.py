"""The messages before long work: model, device, and amount of work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from stemsplit.checkpoints import loading
from stemsplit.cli.console import Console, clock
from stemsplit.cli.forecast import Forecast
from stemsplit.cli.meters import shortened
from stemsplit.errors import printable
from stemsplit.types import Estimated, Loaded, Planned, Progressed

MEGABYTE = 1e6
GIGABYTE = 1e9
#: Share of a download after which its speed predicts the time left: it starts slowly.
TELLING = 0.01


class Announcement:
    """One line on a terminal when separation of the first song of a run begins.

    It includes the total time if the speed is known from an earlier run. Otherwise the bar shows it
    as soon as the first segment is separated.
    """

    def __init__(self, console: Console) -> None:
        self.loaded: Loaded | None = None
        self._console = console
        self._songs: Mapping[Path, str] = {}
        self._is_due = True

    def begin(self, planned: Planned) -> None:
        """Announce these songs as soon as the first of them starts."""
        self._songs, self._is_due = planned.songs, True

    def show(self, event: Progressed, forecast: Forecast) -> None:
        """Announce the work that starts with ``event``, unless already announced."""
        if not self._is_due or self.loaded is None or not self._console.for_people:
            return
        self._is_due = False
        seconds: float | None = event.total / event.sample_rate
        what = printable(event.song.name)
        if len(self._songs) > 1:
            lengths, seconds = forecast.lengths, forecast.total
            due = f"up to {len(self._songs)}" if lengths is None else str(len(lengths))
            what = "1 song" if due == "1" else f"{due} songs"
        length = "" if seconds is None else f" ({clock(seconds)})"
        speed = self.loaded.speed
        about = "" if not speed or seconds is None else f", about {clock(seconds / speed)}"
        model = loading.label(self.loaded.model)
        rest = f"{length} with {model} on {self.loaded.device}{about}"
        what = shortened(what, self._console.note_columns - len(f"splitting {rest}"))
        self._console.paragraph(f"splitting {what}{rest}")


def describe_estimate(totals: Estimated) -> str:
    """Return the totals of a dry run, on one line."""
    songs = "1 song" if totals.songs == 1 else f"{totals.songs} songs"
    unknown = totals.of_unknown_length
    beside = f" and {unknown} of unknown length" if unknown else ""
    parts = [
        f"{songs}, {clock(totals.seconds)}{beside}",
        f"up to {size(totals.disk)} of stems, {size(totals.free)} free",
    ]
    if totals.download is None:
        parts.append(f"{totals.model} must be downloaded")
    elif totals.download:
        parts.append(f"{totals.model}: {size(totals.download)} to download")
    return "; ".join(parts)


def describe_transfer(done: int, total: int | None, rate: float | None) -> Iterator[str]:
    """Yield the time left of a download of ``done`` bytes, how much is done, and its speed."""
    if rate and total and total * TELLING <= done < total:
        yield f"{clock((total - done) / rate)} left"
    if total:
        yield f"{done / MEGABYTE:.0f}/{total / MEGABYTE:.0f} MB"
    elif done:
        yield f"{done / MEGABYTE:.0f} MB"
    if rate and done != total:
        yield f"{rate / MEGABYTE:.1f} MB/s"


def size(count: int) -> str:
    """Return ``count`` bytes as text, in GB or MB."""
    if count >= GIGABYTE:
        return f"{count / GIGABYTE:.1f} GB"
    megabytes = count / MEGABYTE
    return f"{megabytes:.0f} MB" if megabytes >= 10 else f"{max(0.1, megabytes):.1f} MB"
