"""Options of an evaluation."""

from __future__ import annotations

import math
from dataclasses import dataclass

from stemsplit.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Framing:
    """The frames of BSS Eval, in seconds. Raises ``UsageError`` unless both are above 0."""

    window: float = 1.0
    hop: float = 1.0

    def __post_init__(self) -> None:
        for name, seconds in (("window", self.window), ("hop", self.hop)):
            if not (math.isfinite(seconds) and seconds > 0):
                raise UsageError(f"invalid {name} of {seconds:g} s: expected more than 0 s")
