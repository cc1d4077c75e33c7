"""Measuring whole commands: wall clock, CPU time and peak memory, as the kernel counts them."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    """What one run of a command took. ``peak`` is that of its largest single process, in MB."""

    wall: float  # s
    cpu: float  # s, user and system, children included
    peak: float


def measure(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Cost:
    """Return what ``command`` costs; raises if it fails."""
    start = time.perf_counter()
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | dict(environment or {}),
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - start
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def peak_memory() -> float:
    """Return the peak memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def describe_machine() -> str:
    """Return processor, cores and torch in one line."""
    import torch

    with open("/proc/cpuinfo") as file:
        names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    return f"{names[0]}, {os.cpu_count()} cores, torch {torch.__version__}"


def spread(values: Sequence[float]) -> str:
    """Return median and range of ``values``."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"
