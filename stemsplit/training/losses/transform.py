"""The spectrogram of a network, in which the terms of a loss compare magnitudes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from torch import Tensor

from stemsplit.errors import UsageError
from stemsplit.models.base import SeparationModel

#: From waves ``(..., T)`` to complex spectra ``(..., F, N)``.
Transform: TypeAlias = Callable[[Tensor], Tensor]


def transform_of(model: SeparationModel) -> Transform:
    """Return the transform of ``model``; raises ``UsageError`` if it estimates no magnitudes."""
    found: Transform | None = getattr(model, "transform", None)
    if found is None:
        raise UsageError(f"{type(model).__name__} has no spectrogram with masks")
    return found
