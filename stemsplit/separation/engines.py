"""From the name of a model, or of several, to an engine that is ready."""

from __future__ import annotations

from collections.abc import Sequence

from stemsplit.checkpoints import loading
from stemsplit.separation.device import memory_explained, resolve_device
from stemsplit.separation.engine import Engine
from stemsplit.separation.ensemble import EnsembleEngine
from stemsplit.types import EngineOptions


def load_engine(name: str, stems: Sequence[str], options: EngineOptions) -> Engine | EnsembleEngine:
    """Return an engine that gives ``stems`` of ``name``: a model, a checkpoint file, or several.

    The weights must be here: `loading.prepare` sees to that. Raises ``UsageError`` for settings
    that mean nothing, ``CheckpointError`` for weights that do not fit, and ``ResourceError`` for a
    device that is not here or has too little memory.
    """
    engines = []
    for each, of_it in loading.shares(name, stems).items():
        with memory_explained(resolve_device(options.device)):
            network = loading.load(each, stems=of_it)
        engines.append(
            Engine(
                network,
                device=options.device,
                precision=options.precision,
                overlap=options.overlap,
                segment=options.segment,
                batch=options.batch,
            )
        )
    if len(engines) == options.shifts == 1:
        return engines[0]
    return EnsembleEngine(engines, shifts=options.shifts, seed=options.seed)
