"""With what a network runs, and what asks for less memory."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from stemsplit.separation.device import resolve_device, resolve_precision
from stemsplit.types import Batch, Precision

#: Segments in one run of the network on CUDA. On a CPU all cores work on one already, and more
#: only cost memory.
CUDA_BATCH = 4
#: More than this gains nothing on any device, and delays the first stems.
LARGEST_BATCH = 32
#: Share of the free memory that a batch may take; the rest is for what fragments it.
USABLE = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """The device, the type that the network computes in, and how many segments at a time."""

    device: torch.device
    dtype: torch.dtype
    batch: int

    def __str__(self) -> str:
        segments = "1 segment" if self.batch == 1 else f"{self.batch} segments"
        return f"{self.device}, {str(self.dtype).removeprefix('torch.')}, {segments} at a time"


def choose_execution(device: str, precision: Precision, batch: Batch) -> Execution:
    """Return the setup that the options mean on this machine; a ``batch`` "auto" begins with 1.

    Raises ``UsageError`` for settings that mean nothing and ``ResourceError`` for a device that is
    not here.
    """
    resolved = resolve_device(device)
    usual = CUDA_BATCH if resolved.type == "cuda" else 1
    return Execution(
        device=resolved,
        dtype=resolve_precision(precision, resolved),
        batch=1 if batch == "auto" else batch or usual,
    )


def degrade(setup: Execution) -> Execution | None:
    """Return a setup that needs less memory on its device, or runs elsewhere; None: there is none.

    First the batch halves, then the precision drops, then the CPU takes over.
    """
    if setup.batch > 1:
        return replace(setup, batch=setup.batch // 2)
    if setup.device.type == "cpu":
        return None
    if setup.dtype == torch.float32:
        return replace(setup, dtype=torch.float16)
    return Execution(device=torch.device("cpu"), dtype=torch.float32, batch=1)


def fitting_batch(free: int, needed: int) -> int:
    """Return how many segments fit at a time into ``free`` bytes, where one takes ``needed``."""
    return max(1, min(LARGEST_BATCH, int(free * USABLE) // max(1, needed)))
