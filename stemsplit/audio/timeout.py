"""How long to wait for ffmpeg's output, as set by the user."""

from __future__ import annotations

import os
from math import isfinite

from stemsplit.errors import UsageError

VARIABLE = "STEMSPLIT_FFMPEG_TIMEOUT"
DEFAULT_SECONDS = 60.0


def timeout_seconds() -> float:
    """Return how long (s) to wait for ffmpeg's output: ``$STEMSPLIT_FFMPEG_TIMEOUT``, or 60.

    Raises ``UsageError`` if the variable is not a number above 0.
    """
    text = os.environ.get(VARIABLE)
    if not text:
        return DEFAULT_SECONDS
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not (seconds > 0 and isfinite(seconds)):
        raise UsageError(f"${VARIABLE} must be a number of seconds above 0, not {text!r}")
    return seconds
