"""How slow a transfer may be, and how large: a source that drips or does not end is given up."""

from __future__ import annotations

import time

from stemsplit.errors import CheckpointError

#: In every window of so many seconds so many bytes have to come; a modem brings four times as much.
WINDOW_SECONDS = 60.0
LEAST_BYTES = 60_000
#: More than any checkpoint has, in bytes: the limit where no size is known.
LARGEST_FILE = 16 * 2**30


class TransferLimits:
    """Watches how the size of what has come grows."""

    def __init__(self, size: int = 0) -> None:
        self._size = size  # when the window began
        self._began = time.monotonic()

    def check(self, size: int) -> None:
        """Raise ``CheckpointError`` if ``size`` (bytes) is too large, or has grown too slowly."""
        if size > LARGEST_FILE:
            raise CheckpointError(f"does not end: {size} bytes have come, and no size was declared")
        passed = time.monotonic() - self._began
        if passed < WINDOW_SECONDS:
            return
        if size - self._size < LEAST_BYTES:
            raise CheckpointError(f"too slow: {size - self._size} bytes in {passed:.0f} s")
        self._size, self._began = size, time.monotonic()
