"""How a network is executed: device, precision, batch and threads, and with less memory."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from stemsplit.models.operators import PUBLIC, Operators
from stemsplit.separation.device import resolve_device, resolve_precision
from stemsplit.separation.operator_choice import faster_operators
from stemsplit.types import BatchSize, Precision

#: Segments in one run of the network on CUDA. On a CPU one keeps all cores busy, and more would
#: only cost memory.
CUDA_BATCH = 4
#: Larger batches gain nothing on any device, and delay the first stems.
LARGEST_BATCH = 32
#: Share of the free memory that a batch may use; the rest is a reserve for fragmentation.
USABLE = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """The device, the data type of the network, and the number of segments in one run.

    ``threads`` is the number of CPU threads; None leaves it to torch. ``operators`` are those that
    are used instead of torch's usual ones.
    """

    device: torch.device
    dtype: torch.dtype
    batch: int
    threads: int | None = None
    operators: Operators = PUBLIC

    def __str__(self) -> str:
        dtype = str(self.dtype).removeprefix("torch.")
        segments = "1 segment" if self.batch == 1 else f"{self.batch} segments"
        chosen = str(self.operators)
        return f"{self._place}, {dtype}, {segments} at a time{chosen and f', {chosen}'}"

    @property
    def _place(self) -> str:
        if self.device.type != "cpu":
            return str(self.device)
        threads = self.threads or torch.get_num_threads()
        return f"{self.device}, {threads} thread{'s' if threads > 1 else ''}"


def choose_execution(
    device: str, precision: Precision, batch: BatchSize, threads: int | None = None
) -> Execution:
    """Resolve the options for this machine; a ``batch`` of "auto" starts with 1.

    Raises ``UsageError`` for invalid options and ``ResourceError`` for a missing device.
    """
    resolved = resolve_device(device)
    usual = CUDA_BATCH if resolved.type == "cuda" else 1
    dtype = resolve_precision(precision, resolved)
    return Execution(
        device=resolved,
        dtype=dtype,
        batch=1 if batch == "auto" else batch or usual,
        threads=threads,
        operators=choose_operators(resolved, dtype),
    )


def choose_operators(device: torch.device, dtype: torch.dtype) -> Operators:
    """Return the operators for a network in ``dtype`` on ``device``."""
    return faster_operators(dtype) if device.type == "cpu" else PUBLIC


def degrade(execution: Execution) -> Execution | None:
    """Return an execution that needs less memory, or None if there is none.

    First the batch is halved, then the precision is lowered, then the CPU is used.
    """
    if execution.batch > 1:
        return replace(execution, batch=execution.batch // 2)
    if execution.device.type == "cpu":
        return None
    if execution.dtype == torch.float32:
        return replace(execution, dtype=torch.float16)
    cpu, dtype = torch.device("cpu"), torch.float32
    operators = choose_operators(cpu, dtype)
    return replace(execution, device=cpu, dtype=dtype, batch=1, operators=operators)


def fitting_batch(free: int, needed: int) -> int:
    """Return how many segments fit into ``free`` bytes at a time if one needs ``needed``."""
    return max(1, min(LARGEST_BATCH, int(free * USABLE) // max(1, needed)))
