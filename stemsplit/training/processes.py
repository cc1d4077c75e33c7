"""The processes of a run: one, or several that `torchrun` starts, one for each GPU."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import distributed

from stemsplit.errors import UsageError


@dataclass(frozen=True, slots=True)
class Processes:
    """Which of how many processes this is. All must call the same methods in the same order."""

    number: int = 0
    count: int = 1
    local: int = 0  # number on this machine, which is that of its GPU
    local_count: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes files, validates and reports."""
        return self.number == 0

    def mean(self, value: float) -> float:
        """Return the mean of ``value`` over all processes."""
        if self.count == 1:
            return value
        return self._sum(value) / self.count

    def largest(self, value: int) -> int:
        """Return the largest ``value`` of all processes."""
        if self.count == 1:
            return value
        tensor = torch.tensor(value, device=_device())
        distributed.all_reduce(tensor, distributed.ReduceOp.MAX)
        return int(tensor)

    def share(self, value: Any) -> Any:
        """Return the ``value`` of the first process."""
        if self.count == 1:
            return value
        values = [value]
        distributed.broadcast_object_list(values, device=_device())
        return values[0]

    def _sum(self, value: float) -> float:
        tensor = torch.tensor(value, dtype=torch.float64, device=_device())
        distributed.all_reduce(tensor)
        return float(tensor)


def _device() -> torch.device:
    return torch.device("cuda" if distributed.get_backend() == "nccl" else "cpu")


@contextmanager
def joined_processes(device: torch.device) -> Iterator[Processes]:
    """Join the processes that `torchrun` has started, if it has; yield which this one is."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1 or "RANK" not in os.environ:
        yield Processes()
        return
    if device.type == "mps":
        raise UsageError("several processes cannot share an Apple GPU")
    _end_with_parent()
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if device.type == "cuda":
        torch.cuda.set_device(local)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        here = int(os.environ.get("LOCAL_WORLD_SIZE", str(count)))
        yield Processes(distributed.get_rank(), count, local, here)
    finally:
        distributed.destroy_process_group()


def _end_with_parent() -> None:
    """Let the kernel end this process with `torchrun`, as it may wait for others for half an hour.

    Nothing is lost: files are replaced whole. Only Linux can do this.
    """
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    set_parent_death_signal = 1  # PR_SET_PDEATHSIG
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
