"""A stem as floats in a temporary file, until the whole song is known."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from stemsplit.audio.blocks import Block, as_block, as_bytes
from stemsplit.audio.writable import writing

BYTES_PER_SAMPLE = 4
PIECE = 2**16  # frames of a block that is read back


class Spool:
    """The samples of the stem at ``target``, kept in the file at ``path``."""

    def __init__(self, target: Path, path: Path) -> None:
        """Create the file. Raises ``OutputError``, or ``ResourceError`` for a full disk."""
        self.target = target
        self.path = path
        with writing(target):
            self._file: BinaryIO = path.open("w+b")

    def write(self, block: Block) -> None:
        """Append ``block`` (C, n). Raises the same errors as the constructor."""
        with writing(self.target):
            self._file.write(as_bytes(block))

    def blocks(self, channels: int) -> Iterator[Block]:
        """Yield everything that was written, as blocks (C, n)."""
        with writing(self.target):  # flushing the buffer may fill the disk
            self._file.seek(0)
        while data := self._file.read(PIECE * channels * BYTES_PER_SAMPLE):
            yield as_block(data, channels)

    def close(self) -> None:
        """Release the file; never raises."""
        with contextlib.suppress(OSError):  # the file is no longer needed
            self._file.close()
