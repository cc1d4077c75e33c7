"""Songs that are combined from the stems of different songs, as Scaper combines sounds (J. Salamon
et al., "Scaper: a library for soundscape synthesis and augmentation", WASPAA 2017).
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np

from stemsplit.data.render.mixing import master
from stemsplit.data.render.recordings import pick_excerpt, read_excerpt
from stemsplit.data.render.song import RenderedSong, Stopped
from stemsplit.data.store import SongStore
from stemsplit.data.waveforms import gain

#: Levels of stems, relative to their own songs, dB.
LOWEST, HIGHEST = -9.0, 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CombineSettings:
    """How songs are combined from those of ``store``."""

    seed: int
    seconds: float
    store: SongStore


def combine_song(
    settings: CombineSettings, number: int, stop: threading.Event | None = None
) -> RenderedSong:
    """Return song ``number``: excerpts of stems of different songs, as far as there are enough.

    It depends on nothing but that and ``settings``. Raises ``InputError`` if a file has changed,
    and ``Stopped`` soon after ``stop`` is set.
    """
    rng = np.random.default_rng([settings.seed, number])
    store = settings.store
    frames = round(settings.seconds * store.sample_rate)
    stems, excerpts = {}, []
    used: set[int] = set()
    for source in store.sources:
        if stop is not None and stop.is_set():
            raise Stopped
        having = [k for k, song in enumerate(store.songs) if source in song.stems]
        fresh = [k for k in having if k not in used]
        if not having:
            stems[source] = np.zeros((store.channels, frames), np.float32)
            continue
        song = int(rng.choice(fresh or having))
        used.add(song)
        start = pick_excerpt(store, song, source, settings.seconds, rng)
        level = float(rng.uniform(LOWEST, HIGHEST))
        sound = read_excerpt(store, song, source, start, frames)
        stems[source] = sound * np.float32(gain(level))
        excerpts.append(_excerpt(source, store.songs[song].name, start, level, settings.seconds))
    labels = {
        "seed": settings.seed,
        "number": number,
        "seconds": frames / store.sample_rate,
        "sample_rate": store.sample_rate,
        "excerpts": excerpts,
    }
    return RenderedSong(stems=master(stems, rng, store.sample_rate), labels=labels)


def _excerpt(stem: str, song: str, start: float, level: float, seconds: float) -> dict[str, Any]:
    return {
        "stem": stem,
        "song": song,
        "from": round(start, 4),
        "level": round(level, 2),
        "start": 0.0,
        "end": seconds,
    }
