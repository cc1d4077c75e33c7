"""Fetching as the tests do it: one small file, short patience, the reason of a failure."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import pytest

from stemsplit.checkpoints import connection
from stemsplit.checkpoints.entries import RemoteFile, Source
from stemsplit.checkpoints.sources import fetch
from stemsplit.errors import CheckpointError
from stemsplit.types import Fetching

BODY = random.Random(1).randbytes(300_000)


def source(address: str, body: bytes = BODY, size: int | None = None) -> Source:
    file = RemoteFile(address=address, sha256=hashlib.sha256(body).hexdigest(), size=size)
    return Source(format="safetensors", files=(file,))


def run(source: Source, folder: Path) -> tuple[list[Path], list[Fetching]]:
    """Return the paths and the events of a fetch."""
    events = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection, "ANSWER_SECONDS", 0.5)
        patch.setattr(connection, "BODY_SECONDS", 0.8)
        steps = fetch(source, folder, name="mine")
        while True:
            try:
                events.append(next(steps))
            except StopIteration as stop:
                return stop.value, events


def failure(source: Source, folder: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        run(source, folder)
    return str(caught.value)


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
