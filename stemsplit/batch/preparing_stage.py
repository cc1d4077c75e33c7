"""The first stage of the scheduler: it prepares songs in threads, ahead of their turn."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from threading import Event as Flag
from typing import TypeAlias

from stemsplit.batch.discover import Song
from stemsplit.batch.engine_cache import EngineCache
from stemsplit.batch.locks import SongLocks
from stemsplit.batch.plan import RunPlan
from stemsplit.batch.prepare import Locked, NeedsWeights, Preparation, Ready, Skipped
from stemsplit.batch.results import Result, not_tried
from stemsplit.errors import (
    CheckpointError,
    MissingDevice,
    StemsplitError,
    UsageError,
    describe,
)
from stemsplit.types import Event, NotAudio, WaitingForOthers

#: The outcome of preparing a song, or its `Result` if that is already known.
Found: TypeAlias = Ready | Skipped | NotAudio | Locked | StemsplitError | Result
#: How long to wait (s) before asking again whether another process has finished a song.
_POLL_SECONDS = 0.2
#: How long (s) queued songs wait for another song to share a batch with.
_PATIENCE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class _Preparing:
    """A song in preparation."""

    song: Song | Result
    found: Future[Found]


class PreparingStage:
    """Prepares ``songs`` in order; those that other processes have locked come last.

    Until the model is loaded, songs are prepared one by one in the caller's thread, and the model
    is loaded as soon as a song needs it.
    """

    def __init__(
        self,
        songs: Iterable[Song | Result],
        plan: RunPlan,
        engines: EngineCache,
        locks: SongLocks,
    ) -> None:
        self._incoming: Iterator[Song | Result] = iter(songs)
        self._jobs = plan.options.jobs
        self._engines = engines
        self._locks = locks
        self._preparation = Preparation(plan, locks)
        if self._is_loaded:
            self._preparation.look_up_provenances()
        self._threads = ThreadPoolExecutor(self._jobs)
        self._stop = Flag()
        self._skips = False
        self._preparing: deque[_Preparing] = deque()
        self._locked: deque[Song] = deque()
        self._waits_for_others = False

    @property
    def is_empty(self) -> bool:
        """Whether all songs have left; locked ones have not."""
        return not (self._preparing or self._locked)

    def skip_rest(self) -> None:
        """Let the songs that are not prepared yet fail, because the run has ended."""
        self._skips = True

    def close(self) -> None:
        """End the threads."""
        self._stop.set()
        self._threads.shutdown(cancel_futures=True)

    def next(self, *, may_wait: bool) -> Generator[Event, None, tuple[Song | Result, Found] | None]:
        """Return the next song and what was found; None if it is not ready, within a second.

        It waits for songs that other processes have locked only if it ``may_wait``: those processes
        may be waiting for ours.
        """
        yield from self._prepare_ahead()
        while self._preparing:
            first = self._preparing[0]
            if not wait([first.found], _PATIENCE_SECONDS).done:
                return None
            self._preparing.popleft()
            found = first.found.result()
            if not (isinstance(found, Locked) and isinstance(first.song, Song)):
                return first.song, found
            self._locked.append(first.song)
            yield from self._prepare_ahead()
        return (yield from self._retry_locked()) if self._locked and may_wait else None

    def _retry_locked(self) -> Generator[Event, None, tuple[Song, Found] | None]:
        """Return the first locked song; if it still is locked, wait a moment and return None."""
        if not self._waits_for_others:
            self._waits_for_others = True
            yield WaitingForOthers(tuple(song.path for song in self._locked))
        found = yield from self._prepare_here(self._locked[0])
        if isinstance(found, Locked):
            time.sleep(_POLL_SECONDS)
            return None
        return self._locked.popleft(), found

    def _prepare_ahead(self) -> Generator[Event]:
        """Keep one more song in preparation than there are threads; without a model, just one."""
        while len(self._preparing) <= self._jobs:
            if self._preparing and not self._is_loaded:
                return
            if (song := next(self._incoming, None)) is None:
                return
            found: Future[Found] = Future()
            if isinstance(song, Result):
                found.set_result(song)
            elif self._is_loaded:
                found = self._threads.submit(self._prepare, song)
            else:
                found.set_result((yield from self._prepare_here(song)))
            self._preparing.append(_Preparing(song, found))

    @property
    def _is_loaded(self) -> bool:
        return self._engines.sample_rate is not None

    def _prepare(self, song: Song) -> Found:
        if self._skips:
            return not_tried(song.path)
        try:
            found = self._preparation.prepare(song, self._engines.sample_rate, self._stop)
            assert not isinstance(found, NeedsWeights)
            return found
        except Exception as exc:
            return describe(exc, song.path)

    def _prepare_here(self, song: Song) -> Generator[Event, None, Found]:
        """Prepare ``song``; fetch the weights, and load the model, as soon as they are needed."""
        if self._is_loaded or self._skips:
            return self._prepare(song)
        try:
            found = self._preparation.prepare(song)
            if isinstance(found, NeedsWeights):
                yield from self._engines.fetch()
                self._preparation.look_up_provenances()
                found = self._preparation.prepare(song, info=found.info)
            assert not isinstance(found, NeedsWeights)
            if isinstance(found, Ready):
                yield from self._load_for(found)
        except (UsageError, CheckpointError, MissingDevice):
            raise  # without the model or its device, no song can be split
        except Exception as exc:
            return describe(exc, song.path)
        return found

    def _load_for(self, ready: Ready) -> Generator[Event]:
        """Load the model; if that fails, release the song for other processes."""
        try:
            yield from self._engines.load()
        except BaseException:
            self._locks.release(ready.token)
            raise
