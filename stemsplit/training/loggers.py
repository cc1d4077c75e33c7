"""Where figures go besides ``metrics.jsonl``: TensorBoard, and loggers of others."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from stemsplit.errors import UsageError


class Logger(Protocol):
    """What a logger does. ``--logger module:function`` names a function that returns one.

    The function takes the folder of the run (a path), and what the run is made from (plain values).
    """

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Log ``values`` by name, after ``step`` steps."""

    def sound(self, step: int, name: str, sound: NDArray[np.float32], sample_rate: int) -> None:
        """Log ``sound`` ``(C, T)`` at ``sample_rate`` (Hz)."""

    def close(self) -> None:
        """Write what has not been written."""


def make_loggers(
    folder: Path, facts: Mapping[str, Any], plugged: tuple[str, ...], step: int
) -> list[Logger]:
    """Return TensorBoard's logger, if it is installed, and those of ``plugged``.

    The run continues after ``step`` steps: later figures are replaced. Raises ``UsageError`` for a
    function that does not exist.
    """
    found: list[Logger] = []
    if importlib.util.find_spec("tensorboard") is not None:
        found.append(TensorBoard(folder, step))
    return [*found, *(_load(name)(folder, facts) for name in plugged)]


def _load(name: str) -> Any:
    module_name, colon, function_name = name.partition(":")
    try:
        return getattr(importlib.import_module(module_name), function_name)
    except (ImportError, AttributeError, ValueError) as exc:
        reason = exc if colon else "it has no colon"
        raise UsageError(f"--logger takes MODULE:FUNCTION, not {name!r}: {reason}") from exc


class TensorBoard:
    """Event files for TensorBoard, in the folder ``tensorboard`` of a run."""

    def __init__(self, folder: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(folder / "tensorboard", purge_step=step + 1)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Log ``values``; a slash in a name groups charts."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def sound(self, step: int, name: str, sound: NDArray[np.float32], sample_rate: int) -> None:
        """Log ``sound``, and its spectrogram (dB over log frequency) as a picture."""
        from stemsplit.evaluation.report.charts import RANGE, spectrogram

        self._writer.add_audio(name, sound.mean(0, keepdims=True), step, sample_rate)
        levels = spectrogram(sound, sample_rate)[::-1]
        picture = ((levels - levels.max()) / RANGE + 1).clip(0, 1)
        self._writer.add_image(name, picture.astype(np.float32)[None], step)

    def close(self) -> None:
        """Write what has not been written."""
        self._writer.close()
