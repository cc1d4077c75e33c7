"""How many threads torch uses on the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def limited_threads(threads: int | None) -> Iterator[None]:
    """Limit torch to this many CPU ``threads`` in the block; None: as many as before.

    torch has one number for the whole process. Other threads of Python that already use torch keep
    theirs.
    """
    before = torch.get_num_threads()
    if threads in (None, before):
        yield
        return
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
