"""New songs from the sources of several: exchanged within a batch, or laid over each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from stemsplit.training.augment.base import Signals, SourceAugmentation, check_range, check_value


@dataclass(frozen=True, kw_only=True)
class Shuffle(SourceAugmentation):
    """Exchanges each source at random among the songs of a batch (Demucs, 2019).

    ``p`` is the probability for a whole batch.
    """

    choices_of_per = ("source",)  # a song that moves as a whole is not remixed

    def group(self, songs: int) -> int:
        """Return how many of ``songs`` exchange their sources."""
        return songs

    def __call__(self, sources: Signals, rng: Generator) -> Signals:
        """Return ``sources`` (B, S, C, T), exchanged in place."""
        if rng.random() >= self.p:
            return sources
        songs, size = len(sources), self.group(len(sources))
        for index in self.indices:
            for first in range(0, songs, size):
                rows = sources[first : first + size, index]
                move_rows(rows, rng.permutation(len(rows)))
        return sources


@dataclass(frozen=True, kw_only=True)
class Remix(Shuffle):
    """Exchanges sources within groups of ``group_size`` songs (Demucs, ``Remix``).

    If the batch is not a multiple of it, the last group is smaller.
    """

    group_size: int = 4

    def check(self) -> None:
        """Raise ``UsageError`` for groups of less than two songs."""
        check_value("group_size", self.group_size, least=2)

    def group(self, songs: int) -> int:
        """Return how many of ``songs`` exchange their sources."""
        return self.group_size


def move_rows(rows: Signals, order: NDArray[np.int64]) -> None:
    """Do ``rows[:] = rows[order]`` for ``rows`` (n, …), with one row of further memory.

    Follows the cycles of the permutation ``order``, so that every row is copied about once.
    """
    done = np.zeros(len(rows), bool)
    for first in range(len(rows)):
        if done[first] or order[first] == first:
            continue
        kept, place = rows[first].copy(), first
        while (origin := int(order[place])) != first:
            rows[place] = rows[origin]
            done[place] = True
            place = origin
        rows[place] = kept
        done[place] = True


@dataclass(frozen=True, kw_only=True)
class Mixup(SourceAugmentation):
    """Averages a source with the same source of other songs in the batch.

    Each of ``probs`` is the probability of one further song (MSST, ``mixup_probs``); each of the
    signals gets a random factor, and their sum is divided by their number. Sources that are not
    mixed keep their level. Of a batch of one song, nothing is changed.
    """

    probs: tuple[float, ...] = (0.2, 0.02)
    loudness_min: float = 0.5
    loudness_max: float = 1.5

    def check(self) -> None:
        """Raise ``UsageError`` for probabilities outside 0 to 1, and for an empty range."""
        for prob in self.probs:
            check_value("probs", prob, least=0.0, most=1.0)
        low, high = self.loudness_min, self.loudness_max
        check_range("loudness_min", low, "loudness_max", high, least=0.0)

    def __call__(self, sources: Signals, rng: Generator) -> Signals:
        """Return ``sources`` (B, S, C, T), with the averages written into them."""
        songs = len(sources)
        mixed: dict[tuple[int, int], Signals] = {}
        for song, members in self.groups(songs, rng):
            added = int((rng.random(len(self.probs)) < self.probs).sum())
            others = rng.permutation(songs - 1)[:added]
            others += others >= song  # never the song itself
            for source in members if len(others) else ():
                mixed[song, source] = self._average(sources[[song, *others], source], rng)
        for place, signal in mixed.items():  # after all have been read
            sources[place] = signal
        return sources

    def _average(self, signals: Signals, rng: Generator) -> Signals:
        """Return the average (C, T) of ``signals`` (n, C, T) with random factors."""
        factors = rng.uniform(self.loudness_min, self.loudness_max, len(signals)) / len(signals)
        signals *= factors.astype(np.float32)[:, np.newaxis, np.newaxis]
        average: Signals = signals.sum(axis=0)
        return average
