"""Temporary folders that are private to this process."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stemsplit.signals import signals_deferred


@contextmanager
def private_folder() -> Iterator[Path]:
    """Yield a new folder that other users cannot read; remove it and its contents afterwards."""
    made: list[Path] = []
    try:
        with signals_deferred():
            made.append(Path(tempfile.mkdtemp(prefix="stemsplit-")))
        yield made[0]
    finally:
        with signals_deferred():
            for folder in made:
                shutil.rmtree(folder, ignore_errors=True)
