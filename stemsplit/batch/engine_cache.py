"""The engine of a run: one model on one device, loaded when the first song needs it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from stemsplit.checkpoints import loading
from stemsplit.options import SplitOptions
from stemsplit.outputs.selection import Selection
from stemsplit.types import Event, Loaded, Warned

if TYPE_CHECKING:
    from stemsplit.separation.engine import Engine
    from stemsplit.separation.ensemble import EnsembleEngine


class EngineCache:
    """Fetches and loads the model that ``options`` name, for what is selected of it, once.

    ``tunes_process`` lets it change how this whole process allocates memory.
    """

    def __init__(
        self, options: SplitOptions, selection: Selection, *, tunes_process: bool = False
    ) -> None:
        self._options = options
        self._selection = selection
        self._tunes_process = tunes_process
        self._engine: Engine | EnsembleEngine | None = None

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
        """Fetch what is missing of the weights, and yield how far that is.

        Raises ``CheckpointError`` and ``ResourceError``.
        """
        return loading.prepare(
            self._options.model,
            stems=self._selection.needed,
            offline=self._options.offline,
            allow_unverified=self._options.allow_unverified,
        )

    def load(self) -> Iterator[Event]:
        """Fetch and load the model, unless that is done, and yield events.

        Raises ``CheckpointError`` and ``ResourceError``.
        """
        if self._engine is not None:
            return
        yield from self.fetch()
        start = time.monotonic()
        if self._tunes_process:
            from stemsplit.separation.device import keep_freed_memory

            keep_freed_memory()
        from stemsplit.separation.ensemble import load_engine
        from stemsplit.separation.execution import limited_threads

        options = self._options
        with limited_threads(options.engine.threads):
            self._engine = load_engine(options.model, self._selection.needed, options.engine)
        seconds = time.monotonic() - start
        yield from self._warnings()
        yield Loaded(options.model, str(self._engine.execution), seconds)

    def _warnings(self) -> Iterator[Warned]:
        """Yield that the best device is not the one it could be, if nobody chose that."""
        from stemsplit.separation.device import parse_device
        from stemsplit.separation.nvidia import unusable_card

        chosen, _ = parse_device(self._options.engine.device)
        if chosen != "auto" or self.engine.execution.device.type == "cuda":
            return
        if (card := unusable_card()) is not None:
            yield Warned(f"{card.problem}; to use it: {card.remedy}")
