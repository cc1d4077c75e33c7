"""Limits on the speed and size of a transfer, to give up on a source that is slow or endless."""

from __future__ import annotations

import time

from stemsplit.errors import CheckpointError

#: The least number of bytes per window of so many seconds; a modem achieves four times as much.
WINDOW_SECONDS = 60.0
LEAST_BYTES = 60_000
#: The limit if no size is known, in bytes: more than any checkpoint has.
LARGEST_FILE = 16 * 2**30


class TransferLimits:
    """Watches how fast, and how far, a transfer grows."""

    def __init__(self, size: int = 0) -> None:
        self._size = size  # when the window began
        self._began = time.monotonic()

    def check(self, size: int) -> None:
        """Raise ``CheckpointError`` if ``size`` (bytes) is too large, or has grown too slowly."""
        if size > LARGEST_FILE:
            raise CheckpointError(f"too large: {size} bytes so far, and no size was declared")
        passed = time.monotonic() - self._began
        if passed < WINDOW_SECONDS:
            return
        if size - self._size < LEAST_BYTES:
            raise CheckpointError(f"too slow: {size - self._size} bytes in {passed:.0f} s")
        self._size, self._began = size, time.monotonic()
