"""Worker processes that draw batches ahead of the loop. They start without torch.

The batch of a step is a function of the step, so each worker draws every n-th one, and the number
of workers changes nothing. Batches travel through memory that both processes map.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from stemsplit.errors import ResourceError, StemsplitError, describe
from stemsplit.signals import interruptions_ignored
from stemsplit.training.batch import Batch
from stemsplit.training.sampling import Sampler

#: Batches that a worker draws ahead.
AHEAD = 2
#: Memory that is a file system, if the system has it; containers may have very little.
SHARED_MEMORY = Path("/dev/shm")


class Loader:
    """Yields the batches of consecutive steps, drawn by ``workers`` processes (0: by this one).

    ``waited`` is the time in seconds that `next` has taken so far. Use as a context manager.
    """

    def __init__(self, sampler: Sampler, workers: int, shape: Sequence[int]) -> None:
        self.waited = 0.0
        self._warnings: list[str] = []
        self._sampler = sampler
        self._shape = tuple(shape)  # (B, S, C, T) of the sources
        self._count = workers
        self._workers: list[_Worker] = []
        self._next = self._asked = self._order = 0

    def __enter__(self) -> Self:
        if self._count:
            folder = _folder_for(self._count * AHEAD * 4 * _values(self._shape))
            try:
                for _ in range(self._count):
                    self._workers.append(_Worker.start(self._sampler, self._shape, folder))
                for worker in self._workers:
                    worker.wait_until_ready()
            except BaseException:
                self._end()
                raise
            finally:
                shutil.rmtree(folder, ignore_errors=True)  # all have mapped their files
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def start(self, step: int, order: int = 0) -> None:
        """Continue with ``step``, in ``order``."""
        for worker in self._workers:
            worker.discard()
        self._next = self._asked = step
        self._order = order
        for _ in range(AHEAD * len(self._workers)):
            self._ask()

    def next(self) -> Batch:
        """Return the batch of the next step. Raises what drawing it has raised."""
        before = time.perf_counter()
        step = self._next
        self._next += 1
        if self._workers:
            batch = self._workers[step % len(self._workers)].receive(self._warnings)
            self._ask()
        else:
            batch = self._sampler.draw(step, self._order)
            self._warnings += self._sampler.warnings
            self._sampler.warnings.clear()
        self.waited += time.perf_counter() - before
        return batch

    def take_warnings(self) -> list[str]:
        """Return the warnings about songs since the last call."""
        found, self._warnings = self._warnings, []
        return found

    def _ask(self) -> None:
        self._workers[self._asked % len(self._workers)].ask(self._asked, self._order)
        self._asked += 1

    def _end(self) -> None:
        for worker in self._workers:
            worker.end()
        self._workers.clear()


@dataclass(slots=True)
class _Worker:
    """A process that draws batches, and the memory of those it has drawn."""

    process: multiprocessing.process.BaseProcess
    pipe: Connection
    slots: NDArray[np.float32]  # (AHEAD, values of a batch)
    shape: tuple[int, ...]
    asked: deque[int] = field(default_factory=deque)  # slots, in the order of the requests
    free: deque[int] = field(default_factory=lambda: deque(range(AHEAD)))

    @classmethod
    def start(cls, sampler: Sampler, shape: tuple[int, ...], folder: Path) -> _Worker:
        """Start a worker whose memory is a file in ``folder``."""
        handle, path = tempfile.mkstemp(dir=folder)
        with open(handle, "r+b") as file:
            try:
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, 4 * AHEAD * _values(shape))
                else:
                    file.truncate(4 * AHEAD * _values(shape))
            except OSError as exc:
                raise ResourceError(
                    f"no space for batches: {exc.strerror}", path=folder, hint="use --workers 0"
                ) from exc
        slots = np.memmap(path, np.float32, "r+", shape=(AHEAD, _values(shape)))
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, sampler, path, shape), daemon=True)
        with interruptions_ignored(), _threads_limited():
            process.start()
        theirs.close()
        return cls(process, ours, slots, shape)

    def wait_until_ready(self) -> None:
        """Wait until the worker has mapped its memory."""
        self._receive()

    def ask(self, step: int, order: int) -> None:
        """Have the batch of ``step`` drawn into a free slot."""
        slot = self.free.popleft()
        self.asked.append(slot)
        self.pipe.send((step, order, slot))

    def receive(self, warnings: list[str]) -> Batch:
        """Return a copy of the oldest batch that was asked for."""
        found, new = self._receive()
        slot = self.asked.popleft()
        self.free.append(slot)
        if found is not None:
            raise found
        warnings += new
        whole = np.array(self.slots[slot])
        batch, sources, channels, frames = self.shape
        count = batch * sources * channels * frames
        return Batch(
            whole[:count].reshape(self.shape), whole[count:].reshape(batch, channels, frames)
        )

    def discard(self) -> None:
        """Wait for the batches that were asked for, and forget them."""
        while self.asked:
            self._receive()
            self.free.append(self.asked.popleft())

    def end(self) -> None:
        """End the process."""
        self.pipe.close()
        self.process.terminate()
        self.process.join()

    def _receive(self) -> tuple[StemsplitError | None, list[str]]:
        try:
            found: tuple[StemsplitError | None, list[str]] = self.pipe.recv()
        except (EOFError, OSError) as exc:
            self.process.join()
            code = self.process.exitcode
            hint = "if memory ran out, use fewer --workers"
            raise ResourceError(f"a worker has ended (exit code {code})", hint=hint) from exc
        return found


def _work(pipe: Connection, sampler: Sampler, path: str, shape: tuple[int, ...]) -> None:
    """Draw batches on request until the other end of ``pipe`` is closed."""
    slots = np.memmap(path, np.float32, "r+", shape=(AHEAD, _values(shape)))
    with contextlib.suppress(EOFError, OSError):  # the parent has ended
        pipe.send((None, []))
        while True:
            step, order, slot = pipe.recv()
            error: StemsplitError | None = None
            try:
                batch = sampler.draw(step, order)
                count = batch.sources.size
                slots[slot, :count] = batch.sources.ravel()
                slots[slot, count:] = batch.mix.ravel()
            except Exception as exc:
                error = describe(exc)
            warnings = list(sampler.warnings)
            sampler.warnings.clear()
            pipe.send((error, warnings))


def _values(shape: Sequence[int]) -> int:
    """Return how many numbers a batch has: sources ``(B, S, C, T)`` and mixture ``(B, C, T)``."""
    batch, sources, channels, frames = shape
    return batch * (sources + 1) * channels * frames


def _folder_for(size: int) -> Path:
    """Return a new folder with room for ``size`` bytes, in memory if it has enough."""
    with contextlib.suppress(OSError):
        if shutil.disk_usage(SHARED_MEMORY).free > 2 * size:
            return Path(tempfile.mkdtemp(prefix="stemsplit-", dir=SHARED_MEMORY))
    return Path(tempfile.mkdtemp(prefix="stemsplit-"))


@contextlib.contextmanager
def _threads_limited() -> Any:
    """Let processes started in this block compute with one thread each: there are several."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
