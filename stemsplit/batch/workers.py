"""Several devices: a process for each, which asks for one song after another.

The parent hands the songs out and tells what became of them. If a process is ended from outside,
what it had in hand is done by the others, and by one that takes its place.
"""

from __future__ import annotations

import io
import signal
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import TextIO, TypeAlias, cast

from stemsplit.batch.discover import Song
from stemsplit.batch.engine_cache import Splitter
from stemsplit.batch.locks import SongLocks
from stemsplit.batch.plan import Orders
from stemsplit.batch.results import Outcome, ends_all, not_tried
from stemsplit.batch.scheduler import Stages
from stemsplit.cli.app import defect, end_by_exception
from stemsplit.cli.console import Console, Meter
from stemsplit.errors import InputError, ResourceError, StemsplitError
from stemsplit.separation.device import resolve_device
from stemsplit.types import ProgressStyle

#: What a process says: a line for the screen, what became of a song, why it can do none, or (None)
#: that it wants one.
_Message: TypeAlias = str | Outcome | StemsplitError | None
#: A song that so many processes died with is not tried again.
DEATHS = 3


@dataclass(slots=True)
class _Worker:
    """A process on a ``device``, and the songs it was given and has not told of."""

    device: str
    process: SpawnProcess
    connection: Connection
    at_hand: dict[Path, Song] = field(default_factory=dict)


class WorkerPool:
    """The processes that split the songs of one run on ``devices``; ``tell`` hears of each song."""

    def __init__(
        self,
        devices: Sequence[str],
        orders: Orders,
        console: Console,
        tell: Callable[[Outcome], None],
    ) -> None:
        self._devices = devices
        self._orders = orders
        self._console = console
        self._pass_on = tell
        self._workers: dict[Connection, _Worker] = {}
        self._waiting: deque[Song] = deque()
        self._deaths: Counter[Path] = Counter()  # of processes, by the songs they had in hand
        self._told = self._total = 0
        self._meter = Meter()
        self._given_up = False

    def split_all(self, songs: Sequence[Song | InputError]) -> None:
        """Split ``songs`` in any order and tell what became of each.

        Raises what no process can do without: ``UsageError``, ``CheckpointError``, and
        ``ResourceError`` for a device that is not here.
        """
        self._total = len(songs)
        label = f"{self._total} songs on {', '.join(self._devices)}"
        with self._console.progress(label) as self._meter:
            for song in songs:
                if isinstance(song, InputError):
                    self._tell(Outcome.failed(song.path, song))
                else:
                    self._waiting.append(song)
            try:
                for device in self._devices[: len(self._waiting)]:
                    self._start(device)
                while self._workers:
                    for connection in wait(list(self._workers)):
                        self._hear(self._workers[cast(Connection, connection)])
            finally:
                self._end()
            for song in self._waiting:  # they have given up
                self._tell(Outcome.failed(song.path, not_tried(song.path)))

    def _start(self, device: str) -> None:
        console = self._console
        ours, theirs = get_context("spawn").Pipe()
        process = get_context("spawn").Process(
            target=_split_what_is_given,
            args=(device, self._orders, console.quiet, console.verbose, console.style, theirs),
            daemon=True,
        )
        with _interruptions_ignored():
            process.start()
        theirs.close()
        self._workers[ours] = _Worker(device, process, ours)

    def _end(self) -> None:
        """End the processes that are left; what they have begun they take back."""
        for worker in self._workers.values():
            worker.process.terminate()
        for worker in self._workers.values():
            worker.process.join()

    def _hear(self, worker: _Worker) -> None:
        """Do as ``worker`` says."""
        try:
            message: _Message = worker.connection.recv()
        except (EOFError, OSError):
            self._see_off(worker)
            return
        match message:
            case None:
                song = None if self._given_up or not self._waiting else self._waiting.popleft()
                if song is not None:
                    worker.at_hand[song.path] = song
                with suppress(OSError):  # it has died meanwhile, which comes up next
                    worker.connection.send(song)
            case str():
                self._console.pass_on(message)
            case Outcome():
                worker.at_hand.pop(message.input, None)
                self._tell(message)
            case StemsplitError():
                raise message

    def _see_off(self, worker: _Worker) -> None:
        """Take note that a process has ended; if somebody ended it, another one takes its place.

        That is not so if it came to nothing: its device does not work.
        """
        del self._workers[worker.connection]
        worker.connection.close()
        worker.process.join()
        if worker.process.exitcode == 0:
            return
        ended = f"the process on {worker.device} was ended by {_cause(worker.process.exitcode)}"
        self._console.warn(ended)
        self._deaths.update(worker.at_hand.keys())
        for path, song in worker.at_hand.items():
            if self._deaths[path] < DEATHS:
                self._waiting.append(song)
            else:
                self._tell(Outcome.failed(path, ResourceError(ended, path=path)))
        if worker.at_hand and self._waiting:
            self._start(worker.device)

    def _tell(self, outcome: Outcome) -> None:
        self._given_up |= ends_all(outcome, fail_fast=self._orders.options.fail_fast)
        self._pass_on(outcome)
        self._told += 1
        self._meter.update(self._told, self._total, f"{self._told} of {self._total}")


def _cause(status: int | None) -> str:
    if status is not None and status < 0:
        with suppress(ValueError):
            return signal.Signals(-status).name
    return f"exit code {status}"


@contextmanager
def _interruptions_ignored() -> Iterator[None]:
    """Let what is started here be deaf to Ctrl-C and hang-ups: its parent hears them, and ends it.

    A terminal sends them to all processes at once, and one of them would be half-way through its
    own start.
    """
    numbers = [signal.SIGINT, getattr(signal, "SIGHUP", signal.SIGINT)]
    handlers = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


class _Relay(io.TextIOBase):
    """A stream whose lines go to the parent."""

    encoding = "utf-8"

    def __init__(self, parent: Connection) -> None:
        self._parent = parent

    def write(self, text: str) -> int:
        self._parent.send(text.removesuffix("\n"))
        return len(text)


def _split_what_is_given(
    device: str,
    orders: Orders,
    quiet: int,
    verbose: int,
    style: ProgressStyle,
    parent: Connection,
) -> None:
    """Be a process of a crew: ask for songs, split them on ``device``, and say how it went."""
    signal.signal(signal.SIGTERM, end_by_exception)
    relay = cast(TextIO, _Relay(parent))
    shown: ProgressStyle = "ndjson" if style == "ndjson" else "none"
    console = Console(relay, relay, quiet=quiet, verbose=verbose, style=shown)
    try:
        resolve_device(device)
        with SongLocks(orders.options.folder) as claims:
            splitter = Splitter(orders.options.on(device), console)
            Stages(orders, splitter, claims, parent.send).split_all(_given(parent))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # the parent is no more
    except StemsplitError as error:
        parent.send(error)
    except Exception as exc:
        parent.send(defect(exc))


def _given(parent: Connection) -> Iterator[Song]:
    """Ask ``parent`` for songs, and yield them, until there are no more."""
    while True:
        parent.send(None)
        song: Song | None = parent.recv()
        if song is None:
            return
        yield song
