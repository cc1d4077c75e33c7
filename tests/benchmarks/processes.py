"""Measuring whole commands: wall clock, CPU time and peak memory, as the kernel counts them.

The process that measures has to stay small: Linux carries the peak memory of a process over to the
commands that it starts. So it imports neither torch nor numpy; what needs them runs `apart`.
"""

from __future__ import annotations

import os
import platform
import resource
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from multiprocessing import get_context
from pathlib import Path
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

#: Variables that limit the threads of torch and of numpy's BLAS.
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class Cost:
    """What one run of a command took. ``peak`` is that of its largest single process, in MB."""

    wall: float  # s
    cpu: float  # s, user and system, children included
    peak: float


class CommandFailed(RuntimeError):
    """A measured command ended with an error; the message has its last line."""


def measure(
    command: Sequence[str],
    environment: Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> Cost:
    """Return what ``command`` costs; raises `CommandFailed` if it fails, or after ``timeout`` s."""
    with tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env=os.environ | dict(environment or {}),
        )
        with _killed_after(process, timeout):
            _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            errors.seek(0)
            lines = errors.read().decode(errors="replace").strip().splitlines()
            last = lines[-1] if lines else "no message"
            raise CommandFailed(
                f"{Path(command[2]).name} ended with {process.returncode}: {last:.200}"
            )
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


@contextmanager
def _killed_after(process: subprocess.Popen[bytes], seconds: float | None) -> Iterator[None]:
    """Kill ``process`` if the block takes longer than ``seconds``."""
    from threading import Timer

    timer = Timer(seconds or 0, process.kill)
    if seconds is not None:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


def measure_in_turn(
    commands: Mapping[str, Sequence[str]],
    pairs: int,
    environments: Mapping[str, Mapping[str, str]] | None = None,
) -> dict[str, list[Cost]]:
    """Measure ``commands`` ``pairs`` times each: A B, B A, …

    A machine whose speed drifts then favours neither. ``environments`` has additional variables.
    """
    costs: dict[str, list[Cost]] = {name: [] for name in commands}
    for turn in range(pairs):
        for name in commands if turn % 2 == 0 else reversed(commands):
            costs[name].append(measure(commands[name], (environments or {}).get(name)))
    return costs


@contextmanager
def pinned(core: int | None) -> Iterator[None]:
    """Let this process, and all that it starts meanwhile, run on one ``core`` only."""
    before = os.sched_getaffinity(0)
    if core is not None:
        os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def limited_to(threads: int) -> dict[str, str]:
    """Return the environment variables that limit a command to ``threads``."""
    return dict.fromkeys(THREADS, str(threads))


def apart(function: Callable[P, R], *arguments: P.args, **options: P.kwargs) -> R:
    """Return the result of ``function``, run in a process of its own: see above."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments, **options).result()


def peak_memory() -> float:
    """Return the peak memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def describe_machine() -> str:
    """Return processor, cores, memory, system, Python and torch in one line."""
    with open("/proc/cpuinfo") as file:
        fields = [[part.strip() for part in line.split(":", 1)] for line in file if ":" in line]
    found = dict(reversed(fields))  # those of the first core
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{found['model name']} (family {found.get('cpu family', '?')}, model "
        f"{found.get('model', '?')}), {os.cpu_count()} cores, {memory:.0f} GiB, "
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}, "
        f"torch {version('torch') or 'missing'}"
    )


def version(package: str) -> str | None:
    """Return the installed version of ``package``, or None."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def versions(packages: Sequence[str]) -> str:
    """Return names and versions of those of ``packages`` that are installed."""
    found = {package: version(package) for package in packages}
    return ", ".join(f"{package} {number}" for package, number in found.items() if number)


def package_root() -> Path:
    """Return the folder that `stemsplit` is imported from."""
    from importlib.util import find_spec

    spec = find_spec("stemsplit")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parents[1]


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Return median and range of ``values``."""
    median, low, high = (f"{f(values):.{digits}f}" for f in (statistics.median, min, max))
    return f"{median} ({low} to {high})"
