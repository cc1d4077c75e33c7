"""Augmentation of batches: gain and shuffle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stemsplit.errors import UsageError
from stemsplit.training.batch import Batch

NAMES = ("gain", "shuffle", "channel_shuffle", "random_polarity", "repitch", "time_shift", "remix")


class Chain:
    """Augmentations in order."""

    def __init__(self, settings: Sequence[Mapping[str, Any]]) -> None:
        self._settings = settings

    def margin(self, frames: int) -> int:
        """Return the further frames that are needed."""
        return 0

    def __call__(
        self, sources: NDArray[np.float32], rng: np.random.Generator, frames: int
    ) -> Batch:
        """Return the batch of ``sources`` ``(B, S, C, T)``."""
        for each in self._settings:
            if each["name"] == "gain":
                gains = rng.uniform(
                    each.get("low", 0.25), each.get("high", 1.25), sources.shape[:2]
                )
                sources = sources * gains[..., None, None].astype(np.float32)
            elif each["name"] == "shuffle":
                sources = np.stack(
                    [source[rng.permutation(len(source))] for source in sources.swapaxes(0, 1)], 1
                )
        return Batch(sources, sources.sum(1))


def make_chain(
    settings: Sequence[Mapping[str, Any]], *, sources: Sequence[str], sample_rate: int
) -> Chain:
    """Return the augmentations in ``settings``; raises ``UsageError`` for an unknown name."""
    for each in settings:
        if each.get("name") not in NAMES:
            raise UsageError(
                f"unknown augmentation {each.get('name')!r}", hint=f"known: {', '.join(NAMES)}"
            )
    return Chain(settings)
