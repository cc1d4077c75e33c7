"""Recognises FLAC files, and several that were joined, which ffmpeg takes for one."""

from __future__ import annotations

import re
from pathlib import Path

FLAC_START = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")  # magic and head of the first block
START_SIZE = 8  # bytes of it
PIECE = 2**20  # bytes that are searched at a time


def holds_another_flac(path: Path) -> bool:
    """Return whether the file at ``path`` consists of several FLAC files joined together."""
    starts, rest = 0, b""
    # Not mapped into memory: if a disk fails or the file shrinks, that ends the whole program.
    with path.open("rb") as file:
        while starts < 2 and (piece := file.read(PIECE)):
            searched = rest + piece
            starts += len(FLAC_START.findall(searched))
            rest = searched[1 - START_SIZE :]  # too short for one that was already counted
    return starts > 1
