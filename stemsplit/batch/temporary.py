"""Folders for files that only this process needs."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stemsplit.signals import signals_deferred


@contextmanager
def private_folder() -> Iterator[Path]:
    """Yield a new folder that other users cannot read; it is removed with all that is in it."""
    made: list[Path] = []
    try:
        with signals_deferred():
            made.append(Path(tempfile.mkdtemp(prefix="stemsplit-")))
        yield made[0]
    finally:
        with signals_deferred():
            for folder in made:
                shutil.rmtree(folder, ignore_errors=True)
