"""Predict what a run would do and need, without fetching, locking or writing anything."""

from __future__ import annotations

import shutil
from collections.abc import Generator, Iterable, Iterator

from stemsplit.audio.formats import largest_size
from stemsplit.batch.discover import Song
from stemsplit.batch.engine_cache import EngineCache
from stemsplit.batch.locks import SongLocks
from stemsplit.batch.plan import RunPlan
from stemsplit.batch.prepare import Preparation, Skipped, WouldSplit
from stemsplit.batch.results import Result
from stemsplit.batch.survey import length_of
from stemsplit.checkpoints import loading
from stemsplit.errors import CheckpointError, StemsplitError, describe
from stemsplit.types import Estimated, Event, NotAudio, Warned


def predict(
    songs: Iterable[Song | Result], plan: RunPlan, engines: EngineCache
) -> Generator[Event | Result]:
    """Yield the expected result of each of ``songs``; failures while splitting are not predicted.

    The totals of the songs to split come last. Raises ``CheckpointError`` if weights are missing
    and must not be fetched, and ``ResourceError`` if the device does not exist.
    """
    if plan.options.offline:
        yield from engines.fetch()
    # The locks are not entered, so nothing is locked, and leftovers of dead runs are not removed.
    preparation = Preparation(plan, SongLocks(plan.options.out))
    try:
        preparation.look_up_provenances()
    except CheckpointError:
        preparation.look_up_provenances(has_weights=False)
    totals, checked = _Totals(plan), False
    for song in songs:
        if isinstance(song, Result):
            yield song
            continue
        for each in _predict(song, plan, preparation, totals):
            if totals.songs and not checked:
                checked = True
                yield from engines.require_device()
            yield each
    if totals.songs:
        yield totals.estimate()


class _Totals:
    """The totals of the songs of a ``plan`` that would be split."""

    def __init__(self, plan: RunPlan) -> None:
        self.songs = 0
        self._plan = plan
        self._seconds = 0.0
        self._of_unknown_length = 0
        self._disk = 0

    def add(self, song: WouldSplit) -> None:
        """Add a ``song``."""
        self.songs += 1
        length = length_of(song.info)
        if length is None:
            self._of_unknown_length += 1
            return
        self._seconds += length
        streams = len(self._plan.selection.streams) or 1
        stem = streams * largest_size(
            self._plan.options.encoding, length, song.info.sample_rate, song.info.channels
        )
        stems = [name for name in song.outputs if name in self._plan.selection.wanted]
        self._disk += stem * len(stems)
        if "dawproject" in song.outputs:  # an archive of all stems
            self._disk += stem * len(self._plan.selection.wanted)

    def estimate(self) -> Estimated:
        """Return the totals, with the size of the download and the free disk space."""
        options, selection = self._plan.options, self._plan.selection
        out = options.out.absolute()
        place = next(folder for folder in (out, *out.parents) if folder.exists())
        return Estimated(
            songs=self.songs,
            seconds=self._seconds,
            of_unknown_length=self._of_unknown_length,
            disk=self._disk,
            free=shutil.disk_usage(place).free,
            model=loading.label(options.model),
            download=loading.bytes_to_fetch(options.model, stems=selection.needed),
        )


def _predict(
    song: Song, plan: RunPlan, preparation: Preparation, totals: _Totals
) -> Iterator[Event | Result]:
    planned = plan.songs[song.path]
    try:
        found = preparation.predict(song)
    except StemsplitError as error:
        yield Result.failed(song.path, describe(error, song.path))
        return
    if isinstance(found, NotAudio):
        yield found
        return
    for warning in found.warnings:
        yield Warned(warning, song.path)
    match found:
        case WouldSplit(outputs, reason):
            totals.add(found)
            yield Result.planned(song.path, "would_split", planned.only(outputs), reason)
        case Skipped(reason):
            yield Result.planned(song.path, "skipped", planned, reason)
