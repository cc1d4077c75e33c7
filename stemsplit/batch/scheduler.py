"""The scheduler: it prepares, separates and writes songs in parallel, on one device."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from stemsplit.batch.discover import Song
from stemsplit.batch.engine_cache import EngineCache
from stemsplit.batch.locks import SongLocks
from stemsplit.batch.plan import RunPlan
from stemsplit.batch.prepare import Ready, Skipped
from stemsplit.batch.preparing_stage import Found, PreparingStage
from stemsplit.batch.results import Result, ends_all, not_tried
from stemsplit.errors import ExitCode, StemsplitError, describe
from stemsplit.types import Event, Finished, NotAudio, Progressed, Scanning, Warned

if TYPE_CHECKING:
    from stemsplit.batch.song import SongRun
    from stemsplit.outputs.writer import BackgroundWriter
    from stemsplit.separation.queue import SegmentQueue

#: How many results may wait behind a song that waits for others to share a batch with.
_MOST_WAITING_RESULTS = 8


@dataclass(frozen=True, slots=True)
class _Queued:
    """A song waiting for the network."""

    ready: Ready
    run: SongRun
    writer: BackgroundWriter


@dataclass(frozen=True, slots=True)
class _InWriting:
    """A separated song that is being written."""

    ready: Ready
    writer: BackgroundWriter
    start: float  # of its separation, s, by a monotonic clock


class Scheduler:
    """Splits the songs of a ``plan``, while preparing the next ones and writing the last one.

    A song is first prepared (in threads), then queued for the network, separated, and written (in a
    thread). Results keep the order of the songs, but songs locked by another run come last. Songs
    too short to fill a batch share one. With ``between_songs``, results are reported only between
    two songs.
    """

    def __init__(self, plan: RunPlan, engines: EngineCache, *, between_songs: bool = False) -> None:
        self._plan = plan
        self._engines = engines
        self._locks = SongLocks(plan.options.out)
        self._between_songs = between_songs
        self._ended = False  # by a failure that ends the run
        self._queued: deque[_Queued | Result] = deque()
        self._writing: deque[_InWriting | Result] = deque()

    def run(self, songs: Iterable[Song | Result]) -> Generator[Event | Result]:
        """Split ``songs``; yield events, and the result of each.

        Results among ``songs`` are passed on. If a song fails, even through a bug, the others are
        still split; only after running out of disk or memory is the rest skipped. Raises
        ``UsageError``, ``CheckpointError`` and ``MissingDevice`` if no song can be split.
        """
        with self._locks:
            preparing = PreparingStage(songs, self._plan, self._engines, self._locks)
            try:
                done = False
                while not done:
                    idle = not (self._queued or self._writing)
                    arrived = yield from preparing.next(may_wait=idle)
                    if arrived is not None:
                        yield from self._enqueue(*arrived)
                    while self._queued and (arrived is None or self._head_may_go()):
                        yield from self._run_head()
                    if self._ended:
                        preparing.skip_rest()
                    if arrived is None:
                        yield from self._report(most_in_writing=0)
                        done = preparing.is_empty
            finally:
                preparing.close()
                self._end()

    def skip_rest(self) -> None:
        """Skip all further songs: they would fail for the same reason."""
        self._ended = True

    def _end(self) -> None:
        """Drop the songs waiting for the network; separated ones are still written."""
        self._engines.save_speed()
        for queued in self._queued:
            if isinstance(queued, _Queued):
                queued.run.close()
        for each in self._writing:
            if isinstance(each, _InWriting):
                each.writer.close()

    # --- The queue of the network ---------------------------------------------------------------

    def _enqueue(self, song: Song | Result, found: Found) -> Generator[Event]:
        """Queue a song that is ready for the network, or the result of any other song."""
        path = song.input if isinstance(song, Result) else song.path
        match found:
            case Ready():
                if found.scanned is None:
                    yield Scanning(path)
                self._queued.append(self._queue_for_network(found))
            case Skipped(reason, warnings):
                for warning in warnings:
                    yield Warned(warning, path)
                planned = self._plan.songs[path]
                self._queued.append(Result.planned(path, "skipped", planned, reason))
            case NotAudio():
                yield found
            case StemsplitError():
                self._queued.append(Result.failed(path, found))
            case Result():
                self._queued.append(found)

    def _queue_for_network(self, ready: Ready) -> _Queued | Result:
        from stemsplit.batch.song import SongRun
        from stemsplit.outputs.writer import BackgroundWriter

        try:
            writer = BackgroundWriter(ready.job)
            engine, queue = self._engines.engine, self._segments
            run = SongRun(ready.job, engine, writer, scanned=ready.scanned, queue=queue)
        except Exception as exc:
            return self._failed(ready, exc)
        return _Queued(ready, run, writer)

    @cached_property
    def _segments(self) -> SegmentQueue:
        """The queue of songs that may share batches."""
        from stemsplit.separation.queue import SegmentQueue

        return SegmentQueue()

    def _head_may_go(self) -> bool:
        """Return whether the queued songs fill a batch, or many results wait behind them."""
        songs = [each for each in self._queued if isinstance(each, _Queued)]
        return (
            isinstance(self._queued[0], Result)
            or sum(song.run.batches for song in songs) >= 1
            or len(self._queued) - len(songs) >= _MOST_WAITING_RESULTS
        )

    # --- Separating -----------------------------------------------------------------------------

    def _run_head(self) -> Generator[Event | Result]:
        """Separate the first song in the queue and pass it to its writer; pass on a result."""
        head = self._queued.popleft()
        start = time.monotonic()
        after: _InWriting | Result
        if isinstance(head, Result):
            after = head
        else:
            ready, path = head.ready, head.ready.job.info.path
            try:
                if self._ended:
                    raise not_tried(path)
                for warning in ready.warnings:
                    yield Warned(warning, path)
                with closing(head.run.separate()) as events:
                    for event in events:
                        if not self._between_songs:
                            yield from self._report(most_in_writing=1)
                        self._note_speed(event)
                        yield event
                after = _InWriting(ready, head.writer, start)
            except Exception as exc:
                after = self._failed(ready, exc)
            finally:
                head.run.close()
        if isinstance(after, Result):
            self._ended |= ends_all(after, fail_fast=self._plan.options.fail_fast)
        self._writing.append(after)
        yield from self._report(most_in_writing=1)

    def _note_speed(self, event: Event) -> None:
        if isinstance(event, Progressed) and event.done == event.total:
            self._engines.add_speed(event.total / event.sample_rate, event.elapsed)

    def _failed(self, ready: Ready, exc: Exception) -> Result:
        """Return the result of a failed song, and release it for other processes."""
        path = ready.job.info.path
        self._locks.release(ready.token)
        error = describe(exc, path)
        if error.exit_code != ExitCode.DEFECT:
            # Its frames keep blocks of audio in memory.
            error.__traceback__ = error.__context__ = error.__cause__ = None
        return Result.failed(path, error)

    # --- Writing --------------------------------------------------------------------------------

    def _report(self, *, most_in_writing: int) -> Generator[Event | Result]:
        """Yield the known results, in the order of the songs.

        Wait until no more than ``most_in_writing`` songs are still being written.
        """
        while self._writing:
            head = self._writing[0]
            if isinstance(head, _InWriting) and not head.writer.done:
                left = sum(isinstance(each, _InWriting) for each in self._writing)
                if left <= most_in_writing:
                    return
            if isinstance(head, _InWriting):
                head = yield from self._finish(head)
            self._writing.popleft()
            yield head

    def _finish(self, song: _InWriting) -> Generator[Event, None, Result]:
        """Wait until a song is written, and return its result."""
        ready, path = song.ready, song.ready.job.info.path
        written: Finished | None = None
        try:
            for event in song.writer.finish():
                yield event
                if isinstance(event, Finished):
                    written = event
        except Exception as exc:
            result = self._failed(ready, exc)
            self._ended |= ends_all(result, fail_fast=self._plan.options.fail_fast)
            return result
        assert written is not None
        self._locks.release(ready.token)
        return Result(
            input=path,
            status="done",
            reason=ready.reason,
            stems=written.stems,
            projects=written.projects,
            sample_rate=written.sample_rate,
            channels=written.channels,
            frames=written.frames,
            seconds=time.monotonic() - song.start,
        )
