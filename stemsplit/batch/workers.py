"""Runs one worker process per device; each requests one song after another.

The parent distributes the songs. If a worker dies, the others take over its songs, and it is
restarted.
"""

from __future__ import annotations

import signal
import sys
from collections import Counter, deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import ModuleType
from typing import TypeAlias, cast

from stemsplit.batch.discover import Song
from stemsplit.batch.engine_cache import EngineCache
from stemsplit.batch.plan import RunPlan
from stemsplit.batch.results import Result, ends_all, not_tried
from stemsplit.batch.scheduler import Scheduler
from stemsplit.errors import ResourceError, StemsplitError, unexpected
from stemsplit.separation.device import resolve_device
from stemsplit.signals import end_by_exception, interruptions_ignored
from stemsplit.types import Counted, Event, Warned

#: A message of a worker: an event, the result of a song, an error that prevents it from splitting
#: any song, or None, which requests a song.
_Message: TypeAlias = Event | Result | StemsplitError | None
#: A song is not retried after this many workers died while splitting it.
MOST_DEATHS = 3


@dataclass(slots=True)
class _Worker:
    """A process on a ``device``, and the songs that it has not reported yet."""

    device: str
    process: SpawnProcess
    connection: Connection
    works: bool = False  # it has requested a song
    songs: dict[Path, Song] = field(default_factory=dict)


class WorkerPool:
    """The workers that split the songs of one ``plan`` on ``devices``."""

    def __init__(self, devices: Sequence[str], plan: RunPlan) -> None:
        self._devices = tuple(devices)
        self._plan = plan
        self._workers: dict[Connection, _Worker] = {}
        self._waiting: deque[Song] = deque()
        self._asking: list[_Worker] = []  # workers, until all devices are known to work
        self._deaths: Counter[Path] = Counter()  # of workers, by the songs they were splitting
        self._ended = False  # by a failure that ends the whole run
        self._last_death = ""  # of a worker: the error of songs for which no worker is left
        self._reported = self._total = 0

    def run(self, songs: Sequence[Song | Result]) -> Generator[Event | Result]:
        """Split ``songs`` in any order; yield events, and the result of each.

        Raises the errors that affect all songs: ``UsageError``, ``CheckpointError``, and
        ``ResourceError`` for a missing device.
        """
        self._total = len(songs)
        yield Counted(0, self._total, self._devices)
        for song in songs:
            if isinstance(song, Result):
                yield from self._report(song)
            else:
                self._waiting.append(song)
        try:
            for device in self._devices[: len(self._waiting)]:
                self._start(device)
            while self._workers:
                for connection in wait(list(self._workers)):
                    yield from self._receive(self._workers[cast(Connection, connection)])
        finally:
            self._end()
        for song in self._waiting:  # the run has ended early, or no worker is left
            lack = ResourceError(self._last_death, path=song.path)
            yield from self._report(
                Result.failed(song.path, not_tried(song.path) if self._ended else lack)
            )

    def skip_rest(self) -> None:
        """Skip all further songs, which would fail for the same reason."""
        self._ended = True

    def _start(self, device: str) -> None:
        ours, theirs = get_context("spawn").Pipe()
        process = get_context("spawn").Process(
            target=_work, args=(device, self._plan, theirs), daemon=True
        )
        with interruptions_ignored(), _without_main_module():
            process.start()
        theirs.close()
        self._workers[ours] = _Worker(device, process, ours)

    def _end(self) -> None:
        """Terminate the remaining workers; they clean up after themselves."""
        for worker in self._workers.values():
            worker.process.terminate()
        for worker in self._workers.values():
            worker.process.join()

    def _receive(self, worker: _Worker) -> Generator[Event | Result]:
        """Handle a message from ``worker``, or its exit."""
        try:
            message: _Message = worker.connection.recv()
        except (EOFError, OSError):
            yield from self._remove(worker)
            return
        match message:
            case None:
                worker.works = True
                self._asking.append(worker)
                self._hand_out()
            case Result():
                worker.songs.pop(message.input, None)
                yield from self._report(message)
            case StemsplitError():
                raise message
            case _:
                yield message

    def _hand_out(self) -> None:
        """Send each waiting worker its next song, or None if none is left.

        They wait until all devices are known to work, since a missing device ends the run.
        """
        if not all(worker.works for worker in self._workers.values()):
            return
        while self._asking:
            worker = self._asking.pop(0)
            song = None if self._ended or not self._waiting else self._waiting.popleft()
            if song is not None:
                worker.songs[song.path] = song
            with suppress(OSError):  # it has died, which is handled next
                worker.connection.send(song)

    def _remove(self, worker: _Worker) -> Generator[Event | Result]:
        """Remove a worker that has exited; restart it if it died.

        A worker that never had a song is not restarted, since its device does not work.
        """
        del self._workers[worker.connection]
        self._asking = [each for each in self._asking if each is not worker]
        worker.connection.close()
        worker.process.join()
        if worker.process.exitcode == 0:
            return
        ended = f"the process on {worker.device} died ({_cause(worker.process.exitcode)})"
        self._last_death = ended
        yield Warned(ended)
        self._deaths.update(worker.songs.keys())
        for path, song in worker.songs.items():
            if self._deaths[path] < MOST_DEATHS:
                self._waiting.append(song)
            else:
                yield from self._report(Result.failed(path, ResourceError(ended, path=path)))
        if worker.songs and self._waiting:
            self._start(worker.device)
        self._hand_out()

    def _report(self, result: Result) -> Generator[Event | Result]:
        self._ended |= ends_all(result, fail_fast=self._plan.options.fail_fast)
        self._reported += 1
        yield result
        yield Counted(self._reported, self._total, self._devices)


@contextmanager
def _without_main_module() -> Iterator[None]:
    """Prevent processes started here from importing the main module of this one.

    If that is a script that splits files without a ``__main__`` guard, each worker would run it.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _cause(status: int | None) -> str:
    if status is not None and status < 0:
        with suppress(ValueError):
            return signal.Signals(-status).name
    return f"exit code {status}"


def _work(device: str, plan: RunPlan, parent: Connection) -> None:
    """Run a worker: request songs, split them on ``device``, and send events and results."""
    signal.signal(signal.SIGTERM, end_by_exception)
    try:
        resolve_device(device)
        engines = EngineCache(plan.options.on(device), plan.selection, tunes_process=True)
        with closing(Scheduler(plan, engines).run(_requested(parent))) as messages:
            for message in messages:
                parent.send(message)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # the parent has exited
    except StemsplitError as error:
        parent.send(error)
    except Exception as exc:
        parent.send(unexpected(exc))
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it is already ending


def _requested(parent: Connection) -> Iterator[Song]:
    """Request songs from ``parent``, and yield them, until none is left."""
    while True:
        parent.send(None)
        song: Song | None = parent.recv()
        if song is None:
            return
        yield song
