"""A run: which songs there are, who splits them, and how it is told what became of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from stemsplit.batch.discover import Song, find_songs
from stemsplit.batch.dry_run import foretell
from stemsplit.batch.engine_cache import Splitter
from stemsplit.batch.locks import SongLocks
from stemsplit.batch.plan import Orders, SplitOptions, plan_all
from stemsplit.batch.results import (
    NotTried,
    Outcome,
    ends_all,
    exit_code,
    record,
    table,
)
from stemsplit.batch.scheduler import Stages
from stemsplit.cli.app import told
from stemsplit.cli.console import Console
from stemsplit.errors import ExitCode, InputError, ResourceError
from stemsplit.separation.device import parse_devices

if TYPE_CHECKING:
    from stemsplit.batch.scorer import ReferenceScorer


class Batch:
    """Songs to split with one set of options.

    Where there is a ``judge``, it scores the stems of each. Raises ``UsageError`` for options that
    contradict each other or the model.
    """

    def __init__(
        self, options: SplitOptions, console: Console, judge: ReferenceScorer | None = None
    ) -> None:
        self.options = options
        self.console = console
        self.judge = judge
        self.devices = parse_devices(options.engine.device)
        self.splitter = Splitter(options.on(self.devices[0]), console)
        self._unwritable: ResourceError | None = None  # why stdout failed, told at the end
        self._outcomes: list[Outcome] = []
        self._end: Outcome | None = None  # after which nothing is tried

    def run(
        self, files: Iterable[str], lists: Iterable[str] = (), *, dry: bool = False
    ) -> ExitCode:
        """Split ``files``, tell what became of each, and return the exit code of the whole.

        ``lists`` are files that name more. A ``dry`` run only tells what there is to do. A bad song
        is told and passed over; after a lack of disk or memory the rest is not tried. Raises
        ``UsageError`` and ``CheckpointError``, with which no song can be split at all, and
        ``InputError`` if nothing that was found is audio.
        """
        songs = list(find_songs(files, self.options.folder, lists))
        self._orders = self._settle(songs)
        if dry:
            for outcome in foretell(songs, self._orders, self.splitter):
                self._tell(outcome)
        else:
            self._split_all(songs)
        if not self._outcomes:
            raise InputError("nothing that was found is audio")
        if len(self._outcomes) > 1:
            for line in table(self._outcomes, whole=self.console.verbose > 0):
                self.console.note(line)
        if self.judge is not None:
            self.judge.finish()
        if self._unwritable is not None:
            raise self._unwritable
        return exit_code([outcome.error for outcome in self._outcomes])

    def go_on(self, songs: Sequence[Song], among: Sequence[Song]) -> None:
        """Split those of ``songs`` that need it, and tell what became of each.

        They are some ``among`` all that are there, and their stems are called apart from those of
        these. Raises ``ResourceError`` after a lack of disk or memory, or if nobody can be told on
        stdout what became of a song, and what ``run`` does.
        """
        self._orders = self._settle(among)
        self._split_all(songs)
        for outcome in self._outcomes:
            if isinstance(outcome.error, ResourceError):
                raise outcome.error
        if self._unwritable is not None:
            raise self._unwritable

    def count(self) -> str:
        """Return how many songs were split, skipped, and failed, as a line."""
        return next(table(self._outcomes))

    def _settle(self, songs: Sequence[Song | InputError]) -> Orders:
        """Return all that can be said of ``songs`` by their names."""
        options = self.options
        named = [song for song in songs if isinstance(song, Song)]
        wanted = self.splitter.selection.wanted
        plans = plan_all(named, wanted, options)
        if self.judge is not None:
            replacing = options.existing == "force"
            self.judge.prepare(list(plans), self.splitter.selection, force=replacing)
        labels = {}
        for number, song in enumerate(named, 1):
            place = f"[{number}/{len(named)}] " if len(songs) > 1 else ""
            labels[song.path] = f"{place}{song.path.name}"
        several = len(songs) > 1 or any(song.found for song in named)
        existing = options.existing or ("resume" if several else "refuse")
        return Orders(options=options, existing=existing, plans=plans, labels=labels)

    def _split_all(self, songs: Sequence[Song | InputError]) -> None:
        """Split ``songs``: here on one device, else by a process for each."""
        if len(self.devices) == 1 or len(self._orders.plans) < 2:
            patient = self.judge is not None  # who would keep the network waiting for no gain
            with SongLocks(self.options.folder) as claims:
                Stages(self._orders, self.splitter, claims, self._tell, patient=patient).split_all(
                    songs
                )
            return
        # Imported here: most runs have one device.
        from stemsplit.batch.workers import WorkerPool

        WorkerPool(self.devices, self._orders, self.console, self._tell).split_all(songs)

    def _tell(self, outcome: Outcome) -> None:
        if self.judge is not None and outcome.error is None:
            outcome = self._score(self.judge, outcome)
        outcome = self._with_reason(outcome)
        self._outcomes.append(outcome)
        if outcome.error is not None:
            self.console.error(outcome.error, outcome.input)
        if outcome.status == "skipped":
            self.console.note(f"{outcome.input}: skipped, its stems are there already")
        if outcome.status == "would_split":
            self.console.note(f"{outcome.input}: would be split")
        try:
            if self.console.json:
                self.console.record(record(outcome, self.options.model))
            elif outcome.status in ("done", "would_split"):
                for path in (*outcome.outputs.values(), *outcome.projects.values()):
                    self.console.data(str(path))
        except ResourceError as error:
            self._unwritable = error
        if self.judge is not None and outcome.scores is not None:
            self.judge.tell(outcome.scores)

    def _with_reason(self, outcome: Outcome) -> Outcome:
        """Return ``outcome``; if the song was not tried, with the failure that was the end."""
        if self._end is None:
            if ends_all(outcome, fail_fast=self.options.fail_fast):
                self._end = outcome
        elif isinstance(outcome.error, NotTried):
            return replace(outcome, error=NotTried.because_of(self._end, outcome.input))
        return outcome

    def _score(self, judge: ReferenceScorer, outcome: Outcome) -> Outcome:
        """Return ``outcome`` with the scores of its stems, or with what went wrong with these."""
        path = outcome.input
        try:
            files = self._orders.plans[path].stems
            scores = judge.score(path, files, self._orders.labels[path])
        except Exception as exc:
            return replace(outcome, error=told(exc, path))
        return replace(outcome, scores=scores)
