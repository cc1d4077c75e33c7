"""Training programs, run as their own command lines would be, with the times of their steps.

    python tests/benchmarks/training_programs.py stemsplit TIMES STEPS ARGUMENT...
    python tests/benchmarks/training_programs.py msst TIMES STEPS ARGUMENT...

The process ends after STEPS steps, before it validates. The file TIMES then has, as JSON, when each
step of the optimizer ended (seconds of the monotonic clock, which all processes share), how much
CPU time the process had taken and how long the loop had waited for data until then, and how many
parameters are trained. Both programs are measured at the same places: the hook of torch's
optimizers, and the function that returns the next batch.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import time
import types
from pathlib import Path
from typing import Any


class Times:
    """What is recorded, and the hooks that do it."""

    def __init__(self, path: Path, steps: int) -> None:
        from torch.optim.optimizer import register_optimizer_step_post_hook

        self.path, self.steps = path, steps
        self.waited = 0.0
        self.ends: list[float] = []
        self.cpu: list[float] = []
        self.waits: list[float] = []
        self.parameters = 0
        register_optimizer_step_post_hook(self._end_step)

    def _end_step(self, optimizer: Any, _arguments: object, _options: object) -> None:
        if not self.ends:
            groups = optimizer.param_groups
            self.parameters = sum(each.numel() for group in groups for each in group["params"])
        self.ends.append(time.monotonic())
        self.cpu.append(time.process_time())
        self.waits.append(self.waited)
        if len(self.ends) == self.steps:
            self.write()
            os._exit(0)

    def watch(self, loader: type, name: str) -> None:
        """Add up the time in the method ``name`` of ``loader``."""
        method = getattr(loader, name)

        @functools.wraps(method)
        def watched(*arguments: Any) -> Any:
            start = time.monotonic()
            try:
                return method(*arguments)
            finally:
                self.waited += time.monotonic() - start

        setattr(loader, name, watched)

    def write(self) -> None:
        """Write everything as JSON."""
        found = {"ends": self.ends, "cpu": self.cpu, "waits": self.waits}
        self.path.write_text(json.dumps(found | {"parameters": self.parameters}))


def stemsplit(times: Times) -> None:
    """Run ``stemsplit train``."""
    from stemsplit.__main__ import run
    from stemsplit.training.loader import Loader

    times.watch(Loader, "next")
    run()


class _Unused(types.ModuleType):
    """Stands for a package from which only names are imported."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return None


def msst(times: Times) -> None:
    """Run the trainer of msst 0.1.0; without a key, wandb is disabled.

    Its modules for losses and openunmix import torchaudio, which may not fit today's torch; neither
    it nor the loss of torch_log_wmse is used. Repaired: on a CPU, its device is a text, in which it
    then looks for a type.
    """
    for name in ("torch_log_wmse", "torchaudio", "torchaudio.transforms"):
        sys.modules[name] = _Unused(name)
    import torch
    from msst import _training
    from msst.cli import train
    from torch.utils.data import dataloader

    _training.initialize_model_and_device = lambda model, _devices: (torch.device("cpu"), model)
    times.watch(dataloader._BaseDataLoaderIter, "__next__")
    train()


PROGRAMS = {each.__name__: each for each in (stemsplit, msst)}


def main() -> None:
    name, path, steps = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    del sys.argv[1:4]
    PROGRAMS[name](Times(path, steps))


if __name__ == "__main__":
    main()
