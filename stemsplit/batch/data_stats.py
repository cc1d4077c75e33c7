"""Statistics of a data set: how long, how loud, how often a source is silent or alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stemsplit.data.alignment import align
from stemsplit.data.collections import TrainingSong
from stemsplit.data.levels import LevelMeter
from stemsplit.data.whitening import Whitening, WhiteningMeter
from stemsplit.errors import InputError, StemsplitError, describe
from stemsplit.evaluation.loudness import LoudnessMeter

#: A source whose level over 0.1 s is below this counts as silent, dBFS.
SILENT = -60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceStatistics:
    """One source in all songs that have it."""

    name: str
    songs: int
    hours: float
    loudness: float | None  # LUFS, median over the songs in which it is not silent
    quietest: float | None
    loudest: float | None
    silent: float  # share of the time
    alone: float  # share of the time in which all other sources are silent


@dataclass(frozen=True, slots=True, kw_only=True)
class DataStatistics:
    """A whole data set."""

    songs: int
    splits: Mapping[str, int]  # the numbers of songs by split
    hours: float
    sample_rate: int  # Hz, of everything that was measured
    sources: tuple[SourceStatistics, ...]
    whitening: Whitening  # of the sums of all sources


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredSong:
    """That a song was measured, or why it cannot be read."""

    name: str
    error: StemsplitError | None = None


@dataclass(slots=True)
class _Source:
    """What is summed over songs for one source."""

    loudness: list[float] = field(default_factory=list)
    seconds: float = 0.0
    steps: int = 0
    silent: int = 0
    alone: int = 0


class DataSetMeter:
    """Measures the songs of a data set in turn, at the rate of the first one."""

    def __init__(self, sources: Sequence[str]) -> None:
        self._sources = {source: _Source() for source in sources}
        self._splits: dict[str, int] = {}
        self._songs = 0
        self._seconds = 0.0
        self._rate: int | None = None
        self._whitening = WhiteningMeter()

    def measure(self, songs: Sequence[TrainingSong]) -> Iterator[MeasuredSong]:
        """Measure ``songs``; yield each when it is done. Songs that cannot be read do not count."""
        for song in songs:
            try:
                self._measure(song)
            except Exception as exc:
                yield MeasuredSong(name=song.name, error=describe(exc, Path(song.name)))
            else:
                yield MeasuredSong(name=song.name)

    def _measure(self, song: TrainingSong) -> None:
        if song.problem is not None:
            raise InputError(song.problem, path=song.name)
        aligned = align(list(song.stems.values()), sample_rate=self._rate)
        rate = self._rate = aligned.sample_rate
        loudness = LoudnessMeter(rate)
        levels = [LevelMeter(rate) for _ in song.stems]
        for block in aligned.blocks():
            loudness.add(block)
            self._whitening.add(block.sum(axis=0))
            for level, stem in zip(levels, block, strict=True):
                level.add(stem)
        self._whitening.end_song()
        self._songs += 1
        self._seconds += aligned.frames / rate
        if song.split is not None:
            self._splits[song.split] = self._splits.get(song.split, 0) + 1
        sounds = np.stack([level.result() >= SILENT for level in levels])
        found = np.broadcast_to(loudness.result(), len(levels))
        self._add(list(song.stems), found, sounds, aligned.frames / rate)

    def _add(
        self,
        names: Sequence[str],
        loudness: NDArray[np.float64],
        sounds: NDArray[np.bool_],
        seconds: float,
    ) -> None:
        """Add the sources of a song; ``sounds`` ``(S, N)`` says when each is not silent."""
        together = sounds.sum(axis=0)
        for name, value, own in zip(names, loudness, sounds, strict=True):
            source = self._sources[name]
            source.loudness.append(float(value))
            source.seconds += seconds
            source.steps += own.size
            source.silent += int(np.sum(~own))
            source.alone += int(np.sum(own & (together == 1)))

    def result(self) -> DataStatistics:
        """Return the statistics of all songs that could be read."""
        return DataStatistics(
            songs=self._songs,
            splits=self._splits,
            hours=self._seconds / 3600,
            sample_rate=self._rate or 0,
            sources=tuple(_statistics(*each) for each in self._sources.items()),
            whitening=self._whitening.result(),
        )


def _statistics(name: str, source: _Source) -> SourceStatistics:
    heard = [value for value in source.loudness if np.isfinite(value)]
    return SourceStatistics(
        name=name,
        songs=len(source.loudness),
        hours=source.seconds / 3600,
        loudness=float(np.median(heard)) if heard else None,
        quietest=min(heard, default=None),
        loudest=max(heard, default=None),
        silent=source.silent / max(source.steps, 1),
        alone=source.alone / max(source.steps, 1),
    )
