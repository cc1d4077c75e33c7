"""Where a run is: the part of its state that is not the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(slots=True, kw_only=True)
class Progress:
    """What changes from step to step besides the network."""

    step: int = 0  # steps done
    order: int = 0  # of the batches: how often the run went back
    validated: int = -1  # steps at the last validation
    since_best: int = 0  # validations
    best: dict[str, Any] | None = None  # score, scores, step and weights
    unprocessed: dict[str, float] | None = None  # scores of the mixture
    seconds: float = 0.0  # of music to validate on
    digest: str = ""  # of the songs
