"""What a step of training gets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Batch:
    """Excerpts of songs: ``sources`` (B, S, C, T) and their mixture ``mix`` (B, C, T), float32."""

    sources: NDArray[np.float32]
    mix: NDArray[np.float32]
