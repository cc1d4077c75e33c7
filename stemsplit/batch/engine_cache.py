"""The engine of a run: one model on one device, loaded when the first song needs it."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from stemsplit.batch.speeds import SpeedRecord
from stemsplit.checkpoints import loading
from stemsplit.options import SplitOptions
from stemsplit.outputs.selection import Selection
from stemsplit.separation.device import needs_check, require_devices
from stemsplit.signals import signals_deferred
from stemsplit.types import Event, Loaded, Loading, Warned

if TYPE_CHECKING:
    from stemsplit.separation.engine import Engine
    from stemsplit.separation.ensemble import EnsembleEngine
    from stemsplit.separation.execution import Execution


class EngineCache:
    """Fetches and loads the model of ``options``, once, with only the selected stems.

    With ``tunes_process``, it may change how this whole process imports torch and allocates memory.
    """

    def __init__(
        self, options: SplitOptions, selection: Selection, *, tunes_process: bool = False
    ) -> None:
        self._options = options
        self._selection = selection
        self._tunes_process = tunes_process
        self._engine: Engine | EnsembleEngine | None = None
        self._speed: SpeedRecord | None = None

    @property
    def sample_rate(self) -> int | None:
        """The rate in Hz that the model works at; None before it is loaded."""
        return None if self._engine is None else self._engine.sample_rate

    @property
    def engine(self) -> Engine | EnsembleEngine:
        """The engine, which must be loaded."""
        if self._engine is None:
            raise RuntimeError("the engine is used before it is loaded")
        return self._engine

    def fetch(self) -> Iterator[Event]:
        """Fetch missing weights, and yield progress.

        Raises ``CheckpointError`` and ``ResourceError``; a missing device is reported first.
        """
        yield from self.require_device()
        yield from loading.prepare(
            self._options.model,
            stems=self._selection.needed,
            offline=self._options.offline,
            allow_unverified=self._options.allow_unverified,
        )

    def require_device(self) -> Iterator[Event]:
        """Raise ``MissingDevice`` for a device that this machine lacks.

        If only torch can find that out, yields ``Loading`` first, since its import takes seconds.
        """
        device = self._options.engine.device
        if self._engine is None and needs_check(device):
            yield Loading(loading.label(self._options.model))
            self._import_torch()
            require_devices(device)

    def load(self) -> Iterator[Event]:
        """Fetch and load the model, unless it is loaded, and yield events.

        Raises ``CheckpointError`` and ``ResourceError``.
        """
        if self._engine is not None:
            return
        yield from self.fetch()
        yield Loading(loading.label(self._options.model))
        start = time.monotonic()
        self._import_torch()
        if self._tunes_process:
            from stemsplit.separation.device import keep_freed_memory

            keep_freed_memory()
        from stemsplit.separation.ensemble import load_engine
        from stemsplit.separation.threads import limited_threads

        options = self._options
        with limited_threads(options.engine.threads):
            self._engine = load_engine(options.model, self._selection.needed, options.engine)
        seconds = time.monotonic() - start
        execution = self._engine.execution
        self._speed = self._speed_record(execution)
        yield from self._warnings()
        yield Loaded(
            options.model, str(execution), seconds, str(execution.device), self._speed.known
        )

    def _import_torch(self) -> None:
        """Import torch, and only then act on Ctrl-C.

        During the import, the exception of a signal can be lost in a callback, so that the run
        would go on, or end the process in C++ code.
        """
        with signals_deferred():
            if self._tunes_process:
                from stemsplit.separation.torch_import import import_torch_for_running

                import_torch_for_running()
            else:
                import torch  # noqa: F401

    def add_speed(self, audio: float, seconds: float) -> None:
        """Record that ``audio`` seconds of sound were separated in ``seconds``."""
        if self._speed is not None:
            self._speed.add(audio, seconds)

    def save_speed(self) -> None:
        """Save the speed of this run as an estimate for later ones."""
        if self._speed is not None:
            self._speed.save()

    def _speed_record(self, execution: Execution) -> SpeedRecord:
        """Return the record for everything that affects the speed of separation."""
        import torch

        settings, cuda = self._options.engine, execution.device.type == "cuda"
        processor = torch.cuda.get_device_name(execution.device) if cuda else platform.processor()
        return SpeedRecord(
            loading.label(self._options.model),
            self._selection.needed,
            str(execution),
            processor,
            settings.threads or torch.get_num_threads(),
            *(settings.overlap, settings.segment, settings.shifts),
        )

    def _warnings(self) -> Iterator[Warned]:
        """Warn of a GPU that torch cannot use, unless a device was chosen."""
        from stemsplit.separation.device import parse_device
        from stemsplit.separation.nvidia import unusable_card

        chosen, _ = parse_device(self._options.engine.device)
        if chosen != "auto" or self.engine.execution.device.type == "cuda":
            return
        if (card := unusable_card()) is not None:
            yield Warned(f"{card.problem}; to use it: {card.remedy}")
