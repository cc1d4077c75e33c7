"""Vocals from recordings of singing: excerpts that start on bars."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from stemsplit.data.render.effects import level_of
from stemsplit.data.render.recordings import pick_excerpt, read_excerpt
from stemsplit.data.render.score import Score
from stemsplit.data.store import SongStore

VOCALS = "vocals"
#: Bars of an excerpt, and of the pause before it.
LENGTHS, PAUSES = (2, 4, 8), (0, 0, 1, 2)


def place_excerpts(
    score: Score, store: SongStore, rng: Generator, frames: int
) -> tuple[NDArray[np.float32], list[dict[str, Any]]]:
    """Return vocals ``(2, frames)`` of excerpts of equal level, and their labels."""
    stem = np.zeros((2, frames), np.float32)
    labels, seconds = [], frames / store.sample_rate
    bar = int(rng.choice(PAUSES))
    while (start := score.seconds(bar * score.metre)) < seconds:
        length = int(rng.choice(LENGTHS))
        end = min(score.seconds((bar + length) * score.metre), seconds)
        song = int(rng.integers(len(store.songs)))
        place = pick_excerpt(store, song, VOCALS, end - start, rng)
        first, last = (round(time * store.sample_rate) for time in (start, end))
        sound = read_excerpt(store, song, VOCALS, place, last - first)
        if level := level_of(sound, store.sample_rate):
            stem[:, first:last] = sound / np.float32(level)
            labels.append(
                {
                    "stem": VOCALS,
                    "song": store.songs[song].name,
                    "from": round(place, 4),
                    "start": round(start, 4),
                    "end": round(end, 4),
                }
            )
        bar += length + int(rng.choice(PAUSES))
    return stem, labels
