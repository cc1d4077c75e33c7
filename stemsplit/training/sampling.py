"""Draws batches: each is a function of the seed, the step, the process and the order alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.random import PCG64, Generator, SeedSequence
from numpy.typing import NDArray

from stemsplit.data.store import SongStore
from stemsplit.errors import InputError, StemsplitError
from stemsplit.training.augment import make_chain
from stemsplit.training.batch import Batch
from stemsplit.training.recipe import DataSettings, Tables

#: How often an excerpt is drawn again because its source is silent or cannot be read.
ATTEMPTS = 20
#: Levels per second of a `SongStore`.
LEVEL_RATE = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """What `Sampler` draws: ``size`` excerpts of ``frames``.

    ``sources`` are those of the network; those of ``data.background`` are only in the mixture.
    """

    sources: tuple[str, ...]
    frames: int
    size: int
    sample_rate: int
    data: DataSettings
    augment: Tables
    seed: int
    process: int = 0  # of several that each draw their own part of a batch


@dataclass
class Sampler:
    """Draws batches from ``store``.

    A song that can no longer be read is replaced by another one, and reported in ``warnings``,
    which the caller empties.
    """

    store: SongStore
    drawing: Drawing
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        drawn = self.drawing
        self._sources = (*drawn.sources, *drawn.data.background)
        self._chain = make_chain(
            drawn.augment, sources=self._sources, sample_rate=drawn.sample_rate
        )
        self._read = drawn.frames + self._chain.margin(drawn.frames)
        self._choices = [self._chances(source) for source in self._sources]
        self._any_song = self._normalised(tuple(range(len(self.store.songs))))
        self._failed: set[int] = set()

    def draw(self, step: int, order: int = 0) -> Batch:
        """Return the batch of ``step``; another ``order`` gives other batches."""
        drawn = self.drawing
        # Numbers that are 0 at the end do not change the sequence: a single process that never went
        # back draws by (seed, step).
        entropy = [drawn.seed, step, drawn.process, order]
        rng = Generator(PCG64(SeedSequence(entropy)))
        sources = np.stack([self._excerpt(rng) for _ in range(drawn.size)])
        batch = self._chain(sources, rng, drawn.frames)
        return Batch(batch.sources[:, : len(drawn.sources)], batch.mix)

    def _excerpt(self, rng: Generator) -> NDArray[np.float32]:
        """Return an excerpt of all sources ``(S, C, T)``, of one song or of several."""
        if rng.random() < self.drawing.data.remix:
            return np.stack(
                [
                    self._of_source(rng, source, *choices)
                    for source, choices in zip(self._sources, self._choices, strict=True)
                ]
            )
        for _ in range(ATTEMPTS):
            song = self._pick(rng, *self._any_song)
            start = self._start(rng, song)
            found = [self._try(song, source, start) for source in self._sources]
            readable = [sound for sound in found if sound is not None]
            if len(readable) == len(found):
                return np.stack(readable)
        raise self._unreadable()

    def _of_source(
        self, rng: Generator, source: str, songs: Sequence[int], chances: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """Return an excerpt ``(C, T)`` of ``source`` from one of the ``songs`` that have it."""
        keeps = rng.random() < self.drawing.data.silent
        sound = None
        for _ in range(ATTEMPTS):
            song = self._pick(rng, songs, chances)
            start = self._start(rng, song)
            sound = self._try(song, source, start)
            if sound is not None and (keeps or self._sounds(song, source, start)):
                return sound
        if sound is None:
            raise self._unreadable()
        return sound

    def _try(self, song: int, source: str, start: int) -> NDArray[np.float32] | None:
        """Return an excerpt ``(C, T)``; None if it cannot be read."""
        try:
            return self.store.read(song, source, start, self._read)
        except (StemsplitError, OSError) as exc:
            if song not in self._failed:
                self._failed.add(song)
                self.warnings.append(f"{self.store.songs[song].name}: left out: {exc}")
            return None

    def _sounds(self, song: int, source: str, start: int) -> bool:
        """Return whether ``source`` is not silent in the excerpt from ``start`` on."""
        levels = self.store.levels(song, source)
        rate = LEVEL_RATE / self.drawing.sample_rate
        part = levels[int(max(start, 0) * rate) : int((start + self._read) * rate) + 1]
        return bool(part.size and part.max() >= self.drawing.data.quiet)

    def _start(self, rng: Generator, song: int) -> int:
        """Return where an excerpt of ``song`` starts: anywhere, also a short song in silence."""
        room = self.store.frames(song) - self._read
        return int(rng.integers(min(0, room), max(0, room) + 1))

    def _pick(self, rng: Generator, songs: Sequence[int], chances: NDArray[np.float64]) -> int:
        return songs[int(np.searchsorted(chances, rng.random(), side="right"))]

    def _chances(self, source: str) -> tuple[tuple[int, ...], NDArray[np.float64]]:
        """Return the songs with ``source``, and their cumulative probabilities."""
        songs = tuple(n for n, song in enumerate(self.store.songs) if source in song.stems)
        if not songs:
            raise InputError(f"no song to train on has {source}")
        return self._normalised(songs)

    def _normalised(self, songs: tuple[int, ...]) -> tuple[tuple[int, ...], NDArray[np.float64]]:
        by_length = self.drawing.data.weigh == "length"
        weights = [self.store.frames(song) if by_length else 1 for song in songs]
        chances = np.cumsum(weights) / np.sum(weights)
        chances[-1] = 1.0
        return songs, chances

    def _unreadable(self) -> InputError:
        return InputError(f"none of {ATTEMPTS} excerpts could be read: the songs are gone")
