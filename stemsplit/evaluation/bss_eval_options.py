"""Options for BSS Eval."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

from stemsplit.errors import UsageError
from stemsplit.evaluation import museval_backend

#: What computes BSS Eval: this package, or the package `museval` if it is installed.
Implementation: TypeAlias = Literal["own", "museval"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BssEvalOptions:
    """How to compute BSS Eval; ``window`` and ``hop`` of its frames are in seconds.

    Raises ``UsageError`` for invalid values, and ``ResourceError`` for an
    ``implementation`` that is not installed.
    """

    window: float = 1.0
    hop: float = 1.0
    implementation: Implementation = "own"

    def __post_init__(self) -> None:
        for name, seconds in (("window", self.window), ("hop", self.hop)):
            if not (math.isfinite(seconds) and seconds > 0):
                raise UsageError(f"invalid {name} of {seconds:g} s: expected more than 0 s")
        if self.implementation not in ("own", "museval"):
            raise UsageError(f"unknown BSS Eval {self.implementation!r}: expected own or museval")
        if self.implementation == "museval":
            museval_backend.load_metrics()  # fails before any song is separated or read

    @property
    def computed_by(self) -> str:
        """The implementation, with its version unless it is this package."""
        return "own" if self.implementation == "own" else museval_backend.name_and_version()
