"""Recognises FLAC files, and several that were joined, which ffmpeg takes for one."""

from __future__ import annotations

import re
from itertools import islice
from mmap import ACCESS_READ, mmap
from pathlib import Path

FLAC_START = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")  # magic and head of the first block


def holds_another_flac(path: Path) -> bool:
    """Return whether the file at ``path`` consists of several FLAC files joined together."""
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
        return len(list(islice(FLAC_START.finditer(data), 2))) > 1
