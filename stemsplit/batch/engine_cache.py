"""One model on one device, loaded when the first song needs it."""

from __future__ import annotations

import time
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from stemsplit.audio.excerpt import cut
from stemsplit.audio.probe import probe
from stemsplit.audio.writable import refuse_existing
from stemsplit.batch.plan import SplitOptions, select
from stemsplit.batch.provenance import recipes_of
from stemsplit.checkpoints import loading
from stemsplit.cli.console import Console
from stemsplit.cli.render import show
from stemsplit.outputs.manifest import Recipe
from stemsplit.types import Finished, StreamInfo

if TYPE_CHECKING:
    from stemsplit.separation.engine import Engine
    from stemsplit.separation.ensemble import EnsembleEngine
    from stemsplit.separation.job import Job


class Splitter:
    """Splits songs with one set of options.

    Raises ``UsageError`` for options that contradict each other or the model.
    """

    def __init__(self, options: SplitOptions, console: Console) -> None:
        self.options = options
        self.console = console
        self._engine: Engine | EnsembleEngine | None = None
        self.selection = select(options)

    @property
    def sample_rate(self) -> int | None:
        """The rate in Hz that the model works at; None before it is loaded."""
        return None if self._engine is None else self._engine.sample_rate

    def split(self, song: Path, outputs: dict[str, Path], label: str) -> Finished | None:
        """Write ``outputs``, files by stem, of one ``song``, without a manifest, and show how.

        Raises as ``split`` of the pipeline does.
        """
        replacing = self.options.existing == "force"
        for path in outputs.values():
            refuse_existing(path, force=replacing)
        info = cut(probe(song), self.options.excerpt)
        engine = self.load()
        from stemsplit.separation import pipeline

        with closing(pipeline.split(self.job(info, outputs, replacing), engine)) as events:
            return show(self.console, events, label + song.name, song)

    def stream(
        self, song: Path, outputs: dict[str, Path], to: BinaryIO, *, bare: bool = False
    ) -> None:
        """Write the one stem of ``outputs`` of one ``song`` ``to`` a stream, and show how.

        Raises as ``stream`` of the room below does.
        """
        info = cut(probe(song), self.options.excerpt)
        engine = self.load()
        from stemsplit.outputs.stream import stream

        job = self.job(info, outputs, False)
        with closing(stream(job, engine, to, bare=bare)) as events:
            show(self.console, events, song.name, song)

    def job(self, info: StreamInfo, outputs: dict[str, Path], replacing: bool) -> Job:
        """Return what is to be done with the song ``info``, to write ``outputs`` by stem."""
        from stemsplit.separation.job import Job

        return Job(
            info=info,
            selection=self.selection,
            outputs=outputs,
            encoding=self.options.encoding,
            force=replacing,
            accept_truncated=self.options.accept_truncated,
        )

    @cached_property
    def fetched_recipes(self) -> dict[str, Recipe]:
        """What each file is made with. The weights are fetched for that: their digest counts."""
        self.fetch()
        return self.recipes

    @cached_property
    def recipes(self) -> dict[str, Recipe]:
        """The same; raises ``CheckpointError`` where the weights are not here."""
        return recipes_of(self.options, self.selection)

    def load(self) -> Engine | EnsembleEngine:
        """Return the engine; the first time, fetch and load the model.

        Raises ``CheckpointError`` and ``ResourceError``.
        """
        if self._engine is None:
            self.fetch()
            self._engine = self._load()
        return self._engine

    def fetch(self) -> None:
        """See to it that the weights are here. Raises ``CheckpointError`` and ``ResourceError``."""
        fetching = loading.prepare(
            self.options.model,
            stems=self.selection.needed,
            offline=self.options.offline,
            allow_unverified=self.options.allow_unverified,
        )
        show(self.console, fetching, self.options.model)

    def _load(self) -> Engine | EnsembleEngine:
        options = self.options
        start = time.monotonic()
        from stemsplit.separation.device import keep_freed_memory

        keep_freed_memory()
        from stemsplit.separation.engines import load_engine

        engine = load_engine(options.model, self.selection.needed, options.engine)
        self.console.detail(
            f"{options.model} on {engine.setup}, loaded in {time.monotonic() - start:.1f} s"
        )
        return engine
