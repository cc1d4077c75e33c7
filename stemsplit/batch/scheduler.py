"""Splitting songs one after another, each stage of one beside the stages of others."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from threading import Event as Flag
from typing import TYPE_CHECKING, TypeAlias

from stemsplit.batch.discover import Song
from stemsplit.batch.engine_cache import Splitter
from stemsplit.batch.locks import SongLocks
from stemsplit.batch.plan import Orders
from stemsplit.batch.prepare import Preparation, Prepared, Ready, Silent, Skipped, Taken
from stemsplit.batch.results import Outcome, ends_all, not_tried
from stemsplit.cli.app import told
from stemsplit.cli.render import show
from stemsplit.errors import CheckpointError, ExitCode, InputError, StemsplitError, UsageError
from stemsplit.types import Event, Progressed

if TYPE_CHECKING:
    from stemsplit.outputs.writer import BackgroundWriter
    from stemsplit.separation.queue import SegmentQueue

#: What came of preparing a song.
_Found: TypeAlias = Prepared | StemsplitError
#: How long to wait (s) before asking again whether another process has finished a song.
_POLL_SECONDS = 0.2
#: How long (s) songs wait in the line for one more, which may take long to read.
_PATIENCE_SECONDS = 1.0
#: How many songs that need no network may be told late, since one before them waits in the line.
_MOST_UNTOLD = 8


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A song that waits for the network, and how many ``batches`` of it are its own."""

    ready: Ready
    writing: BackgroundWriter
    seen: list[Event]
    events: Generator[Event]
    batches: float


@dataclass(frozen=True, slots=True)
class _Ending:
    """A song that is separated, and being written."""

    ready: Ready
    writing: BackgroundWriter
    start: float  # of wall clock, s


class Stages:
    """The way of songs through preparation, separation and writing, on one device.

    While one is separated, the next are read and the one before is written; those too short for a
    batch of their own share one. ``tell`` is given what became of each; if ``patient``, only
    between two separations.
    """

    def __init__(
        self,
        orders: Orders,
        splitter: Splitter,
        claims: SongLocks,
        tell: Callable[[Outcome], None],
        *,
        patient: bool = False,
    ) -> None:
        self._orders = orders
        self._splitter = splitter
        self._console = splitter.console
        self._claims = claims
        self._preparation = Preparation(orders, claims, lambda: splitter.fetched_recipes)
        self._pass_on = tell
        self._patient = patient
        self._given_up = False
        self._line: deque[_Waiting | Outcome] = deque()  # in front of the network
        self._endings: deque[_Ending] = deque()

    def split_all(self, songs: Iterable[Song | InputError]) -> None:
        """Split ``songs`` and tell what became of each.

        Whatever a song comes to, even by a defect of ours, the others are split; but after a lack
        of disk or memory the rest is not tried. Raises ``UsageError`` and
        ``CheckpointError``, with which no song can be split at all.
        """
        try:
            with closing(self._prepared(songs)) as prepared:
                for song, found in prepared:
                    self._line.extend(self._begin(song, found))
                    while self._line and (found is None or self._full):
                        self._go_on(self._line.popleft())
                    if found is None:  # another process may wait for songs of ours, as we for its
                        self._finish_all()
            while self._line:
                self._go_on(self._line.popleft())
            self._finish_all()
        finally:
            for waiting in self._line:
                if isinstance(waiting, _Waiting):
                    waiting.events.close()
            for ending in self._endings:  # an interruption: what is separated is still written
                ending.writing.close()

    @cached_property
    def _shared(self) -> SegmentQueue:
        """Where songs wait that may share runs of the network."""
        from stemsplit.separation.queue import SegmentQueue

        return SegmentQueue()

    @property
    def _full(self) -> bool:
        """Whether the songs in the line fill a batch, or there is much to tell behind them."""
        waiting = [song for song in self._line if isinstance(song, _Waiting)]
        told = len(self._line) - len(waiting)
        return (
            isinstance(self._line[0], Outcome)
            or sum(song.batches for song in waiting) >= 1
            or told >= _MOST_UNTOLD
        )

    def _go_on(self, song: _Waiting | Outcome) -> None:
        """Separate a song that waits; tell what became of another, after those before it."""
        following = song if isinstance(song, Outcome) else self._separate(song)
        if isinstance(following, Outcome):
            self._finish_all()
            self._tell(following)
            return
        self._endings.append(following)
        while len(self._endings) > 1:
            self._finish()

    def _prepared(
        self, songs: Iterable[Song | InputError]
    ) -> Generator[tuple[Song | InputError, _Found | None]]:
        """Yield ``songs``, prepared in threads ahead of their turn, with what was found.

        Nothing is found yet of one that has to be waited for. Until the model is there, they are
        prepared one by one here. Those that another process has in work come last.
        """
        stop, jobs = Flag(), self._orders.options.jobs
        waiting: deque[tuple[Song | InputError, Future[_Found]]] = deque()
        taken: list[Song | InputError] = []
        with ThreadPoolExecutor(jobs) as pool:
            try:
                for song in songs:
                    if not self._loaded:
                        future: Future[_Found] = Future()
                        future.set_result(self._prepare(song, stop))
                    else:
                        future = pool.submit(self._prepare, song, stop)
                    waiting.append((song, future))
                    while waiting and (not self._loaded or len(waiting) > jobs):
                        yield from _unless_taken(waiting, taken)
                while waiting:
                    yield from _unless_taken(waiting, taken)
                if taken:
                    count = f"{len(taken)} songs" if len(taken) > 1 else taken[0].path
                    self._console.note(f"another process has {count} in work; waiting for it")
                for song in taken:
                    while isinstance(found := self._prepare(song, stop), Taken):
                        yield song, None
                        time.sleep(_POLL_SECONDS)
                    yield song, found
            finally:
                stop.set()
                pool.shutdown(cancel_futures=True)

    @property
    def _loaded(self) -> bool:
        return self._splitter.sample_rate is not None

    def _prepare(self, song: Song | InputError, stop: Flag) -> _Found:
        if isinstance(song, InputError):
            return song
        if self._given_up:
            return not_tried(song.path)
        try:
            found = self._preparation.prepare(song, self._splitter.sample_rate, stop)
            if isinstance(found, Ready):
                self._load_for(found)
        except Exception as exc:
            if not self._loaded and isinstance(exc, UsageError | CheckpointError):
                raise  # there is no model, for this song or any other
            return told(exc, song.path)
        return found

    def _load_for(self, ready: Ready) -> None:
        """Load the model; if that fails, the song is free for others."""
        try:
            self._splitter.load()
        except BaseException:
            self._claims.release(ready.ledger.mark)
            raise

    def _begin(self, song: Song | InputError, found: _Found | None) -> Iterator[_Waiting | Outcome]:
        """Yield a song that is ready for the line; of others, what became of them, if anything."""
        match found:
            case Ready():
                yield self._line_up(found)
            case Skipped():
                path = found.song.path
                yield Outcome.planned(path, "skipped", self._orders.plans[path])
            case Silent():
                self._console.detail(f"{found.song.path}: passed over: {found.reason}")
            case StemsplitError():
                yield Outcome.failed(song.path, found)

    def _line_up(self, ready: Ready) -> _Waiting | Outcome:
        """Bring a song before the network."""
        from stemsplit.outputs.writer import BackgroundWriter
        from stemsplit.separation.pipeline import separate

        path, engine = ready.song.path, self._splitter.load()
        plan = self._orders.plans[path]
        wanted = plan.only(ready.outputs)
        job = replace(
            self._splitter.job(ready.info, wanted.stems, ready.replacing),
            projects=wanted.projects,
            stems=plan.stems,
            lasting=str(path) not in self._console.names,
            statistics=ready.statistics,
            ledger=ready.ledger,
        )
        writing = BackgroundWriter(job)
        events = separate(job, engine, writing, self._shared)
        seen: list[Event] = []
        try:
            for event in events:
                seen.append(event)
                if isinstance(event, Progressed):
                    seconds = event.total / ready.info.sample_rate
                    batches = engine.fills(seconds) if job.outputs else 0.0
                    return _Waiting(ready, writing, seen, events, batches)
        except Exception as exc:
            self._claims.release(ready.ledger.mark)
            return _failed(path, exc)
        except BaseException:
            events.close()
            raise
        raise AssertionError("a song waits before it ends")

    def _separate(self, waiting: _Waiting) -> Outcome | _Ending:
        ready, start = waiting.ready, time.monotonic()
        path = ready.song.path
        try:
            with closing(waiting.events) as events:
                if self._given_up:
                    raise not_tried(path)
                for remark in ready.remarks:
                    self._console.warn(remark, path)
                shown = self._meanwhile(chain(waiting.seen, events))
                show(self._console, shown, self._orders.labels[path], path)
        except Exception as exc:
            self._claims.release(ready.ledger.mark)
            return _failed(path, exc)
        return _Ending(ready, waiting.writing, start)

    def _meanwhile(self, events: Iterable[Event]) -> Iterator[Event]:
        """Pass ``events`` on; tell of the song before as soon as it is in its place."""
        for event in events:
            if self._endings and self._endings[0].writing.done and not self._patient:
                self._finish()
            yield event

    def _finish_all(self) -> None:
        while self._endings:
            self._finish()

    def _finish(self) -> None:
        """Wait for the first song that is being written, and tell what became of it."""
        ending = self._endings[0]
        ready, writing, start = ending.ready, ending.writing, ending.start
        path = ready.song.path
        written = self._orders.plans[path].only(ready.outputs)
        try:
            finished = show(self._console, writing.events(), self._orders.labels[path], path)
            outcome = Outcome(
                input=path,
                status="done",
                outputs=written.stems,
                projects=written.projects,
                finished=finished,
                seconds=time.monotonic() - start,
            )
        except Exception as exc:
            outcome = _failed(path, exc)
        self._endings.popleft()
        self._claims.release(ready.ledger.mark)
        self._tell(outcome)

    def _tell(self, outcome: Outcome) -> None:
        self._given_up |= ends_all(outcome, fail_fast=self._orders.options.fail_fast)
        self._pass_on(outcome)


def _failed(path: Path, exc: Exception) -> Outcome:
    """Return that the song ``path`` failed; of its stems the error shall hold nothing."""
    error = told(exc, path)
    if error.exit_code != ExitCode.DEFECT:
        error.__traceback__ = error.__context__ = error.__cause__ = None
    return Outcome.failed(path, error)


def _unless_taken(
    waiting: deque[tuple[Song | InputError, Future[_Found]]], taken: list[Song | InputError]
) -> Iterator[tuple[Song | InputError, _Found | None]]:
    """Yield the first of ``waiting``; if another process has it, note it as ``taken`` instead."""
    song, future = waiting.popleft()
    if not wait([future], _PATIENCE_SECONDS).done:
        yield song, None
    found = future.result()
    if isinstance(found, Taken):
        taken.append(song)
    else:
        yield song, found
