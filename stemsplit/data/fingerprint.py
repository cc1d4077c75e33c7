"""Fingerprints of sound, which find the same recording again after lossy coding and gain.

The peaks of a spectrogram with a band for each semitone survive both. A *landmark* is three peaks
that follow each other: their bands, and the times between them, are one number. Recordings are the
same if many of their landmarks are equal and equally far apart in time. After A. Wang, "An
industrial-strength audio search algorithm" (ISMIR 2003), which uses two peaks; with three, hardly
any landmarks of different songs are equal, so that whole data sets can be compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stemsplit.audio.blocks import Block

RATE = 11_025  # Hz, about: the sound is averaged down to it
WINDOW = 0.128  # s
HOP = 0.016  # s
LOWEST = 110.0  # Hz
BANDS = 60  # semitones, up to 3.3 kHz
#: A peak is the maximum of its surroundings: so many bands and frames on either side.
AROUND = (3, 12)
#: Peaks this far below the loudest one of the recording are not used: codecs drop them.
QUIETEST = -60.0  # dB
#: How many of the next peaks are combined with a peak, in all pairs, and the longest gap, in units
#: of four frames: a copy that starts elsewhere shifts peaks by a frame.
FOLLOWING = 5
UNIT = 4
LONGEST_GAP = 16
#: Landmarks to keep for each recording: those with the smallest (scrambled) values, which are the
#: same ones in a copy.
MOST = 2000
#: A landmark is compared with at most so many equal ones: that of a sampled drum may be everywhere.
COMMON = 50
#: Two recordings are the same if at least so many landmarks are equal at one distance in time, and
#: this share of those that they could have in common. Measured: copies in MP3 or Opus at 64 kbit/s
#: keep 0.2 to 0.85, copies that start elsewhere 0.45 to 0.9, drums 0.12 to 0.45; stems of different
#: songs share less than 0.03, two basses of one synthesiser up to 0.12.
ENOUGH, SHARE = 8, 0.14
_PIECE = 512  # frames of the spectrogram that are computed at a time


class Landmarks(NamedTuple):
    """The landmarks of a recording: their values ``(N,)``, and where they are, in frames."""

    values: NDArray[np.uint32]
    places: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Match:
    """Two recordings, by their indices, that are the same; the second is ``delay`` s later."""

    first: int
    second: int
    delay: float
    share: float  # of the landmarks of the one with fewer


class LandmarkMeter:
    """Collects the landmarks of one recording from blocks ``(C, n)``."""

    def __init__(self, sample_rate: int) -> None:
        self._factor = max(1, round(sample_rate / RATE))
        self._rate = sample_rate / self._factor
        self._size = round(WINDOW * self._rate)
        self._window = np.hanning(self._size).astype(np.float32)
        self._bands = _band_matrix(self._size, self._rate)
        self._kept = np.zeros(0, np.float32)  # not yet averaged
        self._averaged = np.zeros(0, np.float32)
        self._start = 0  # of `_averaged`, in its samples
        self._rows: list[NDArray[np.float32]] = []  # (N, BANDS)
        self._count = 0

    def add(self, block: Block) -> None:
        """Add the next block."""
        mono = np.concatenate([self._kept, block.mean(axis=0, dtype=np.float32)])
        whole = len(mono) // self._factor * self._factor
        self._kept = mono[whole:]
        averaged = mono[:whole].reshape(-1, self._factor).mean(axis=1)
        self._averaged = np.concatenate([self._averaged, averaged])
        self._measure()

    def result(self) -> Landmarks:
        """Return the landmarks; none for silence, and for less than about half a second."""
        if not self._rows:
            return Landmarks(np.zeros(0, np.uint32), np.zeros(0, np.int32))
        return _landmarks(np.concatenate(self._rows))

    def _measure(self) -> None:
        while True:
            starts = self._starts()
            if not len(starts):
                return
            frames = self._averaged[starts[:, None] + np.arange(self._size)] * self._window
            spectrum = np.fft.rfft(frames)
            power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
            self._rows.append(power @ self._bands)
            self._count += len(starts)
            done = max(0, self._place(self._count) - self._start)
            self._averaged = self._averaged[done:]
            self._start += min(done, done + len(self._averaged))

    def _starts(self) -> NDArray[np.int64]:
        """Return where the next frames start in `_averaged`: those that are complete."""
        numbers = np.arange(self._count, self._count + _PIECE)
        starts = np.round(numbers * (HOP * self._rate)).astype(np.int64) - self._start
        return starts[starts + self._size <= len(self._averaged)]

    def _place(self, number: int) -> int:
        return int(np.round(number * (HOP * self._rate)))


def _band_matrix(size: int, rate: float) -> NDArray[np.float32]:
    """Return ``(F, BANDS)``, which sums the bins of a spectrum to semitones."""
    frequencies = np.arange(size // 2 + 1) * (rate / size)
    edges = LOWEST * 2 ** ((np.arange(BANDS + 1) - 0.5) / 12)
    centres = LOWEST * 2 ** (np.arange(BANDS) / 12)
    inside = (frequencies[:, None] >= edges[:-1]) & (frequencies[:, None] < edges[1:])
    nearest = np.abs(frequencies[:, None] - centres).argmin(axis=0)
    inside[nearest, np.arange(BANDS)] = True  # low bands are narrower than a bin
    return inside.astype(np.float32)


def _landmarks(energy: NDArray[np.float32]) -> Landmarks:
    """Return the landmarks of the ``energy`` ``(N, BANDS)``."""
    times, bands = _peaks(energy)
    found: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
    for second in range(1, FOLLOWING):
        for third in range(second + 1, FOLLOWING + 1):
            if third >= len(times):
                continue
            first = np.arange(len(times) - third)
            gaps = times[first + second] - times[first], times[first + third] - times[first]
            near = (gaps[0] > 0) & (gaps[1] > gaps[0]) & (gaps[1] < LONGEST_GAP * UNIT)
            value = bands[first] * BANDS + bands[first + second]
            value = value * BANDS + bands[first + third]
            value = (value * LONGEST_GAP + gaps[0] // UNIT) * LONGEST_GAP + gaps[1] // UNIT
            found.append((value[near], times[first][near]))
    values = np.concatenate([np.zeros(0, np.int64), *(value for value, _ in found)])
    places = np.concatenate([np.zeros(0, np.int64), *(place for _, place in found)])
    scrambled = (values * 2_654_435_761 % 2**32).astype(np.uint32)  # a bijection: an odd factor
    kept = np.argsort(scrambled, kind="stable")[:MOST]
    return Landmarks(scrambled[kept], places[kept].astype(np.int32))


def _peaks(energy: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return times and bands of the peaks, ordered by time."""
    bands, frames = AROUND
    highest = _running_maximum(_running_maximum(energy, frames, 0), bands, 1)
    floor = float(energy.max(initial=0.0)) * 10 ** (QUIETEST / 10)
    times, found = np.nonzero((energy == highest) & (energy > max(floor, 1e-12)))
    return times, found


def _running_maximum(values: NDArray[np.float32], reach: int, axis: int) -> NDArray[np.float32]:
    """Return the maximum of ``values`` within ``reach`` on either side, along ``axis``."""
    margins = [(reach, reach) if each == axis else (0, 0) for each in range(values.ndim)]
    padded = np.pad(values, margins)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=axis)
    return np.asarray(windows.max(axis=-1))


def find_matches(recordings: Sequence[Landmarks]) -> list[Match]:
    """Return all pairs of ``recordings`` that are the same, the first index being the smaller."""
    sizes = [len(each.values) for each in recordings]
    if sum(size > 0 for size in sizes) < 2:
        return []
    values = np.concatenate([each.values for each in recordings])
    places = np.concatenate([each.places for each in recordings])
    owners = np.repeat(np.arange(len(recordings)), sizes)
    pairs = _equal_pairs(values, owners)
    if not len(pairs):
        return []
    delays = places[pairs[:, 1]] - places[pairs[:, 0]]
    return list(_agreeing(owners[pairs], delays, recordings))


def _equal_pairs(values: NDArray[np.uint32], owners: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the indices ``(N, 2)`` of equal ``values`` of different ``owners``."""
    order = np.lexsort((owners, values))
    sorted_values, sorted_owners = values[order], owners[order]
    found = []
    for step in range(1, COMMON + 1):
        equal = np.flatnonzero(sorted_values[step:] == sorted_values[:-step])
        if not len(equal):
            break
        other = equal[sorted_owners[equal] != sorted_owners[equal + step]]
        found.append(np.stack([order[other], order[other + step]], axis=1))
    return np.concatenate([np.zeros((0, 2), np.int64), *found])


def _agreeing(
    owners: NDArray[np.int64], delays: NDArray[np.int32], recordings: Sequence[Landmarks]
) -> Iterator[Match]:
    """Yield the pairs of ``owners`` ``(N, 2)`` of which enough ``delays`` are within two frames."""
    order = np.lexsort((delays, owners[:, 1], owners[:, 0]))
    owners, delays = owners[order], delays[order]
    starts = np.flatnonzero(np.any(np.diff(owners, axis=0, prepend=-1) != 0, axis=1))
    for start, end in zip(starts, [*starts[1:], len(owners)], strict=True):
        if end - start < ENOUGH:
            continue
        ordered = delays[start:end]
        counts = np.searchsorted(ordered, ordered + 2, side="right") - np.arange(end - start)
        best = int(np.argmax(counts))
        first, second = map(int, owners[start])
        share = float(counts[best]) / _comparable(recordings[first], recordings[second])
        if counts[best] >= ENOUGH and share >= SHARE:
            yield Match(first, second, float(ordered[best]) * HOP, min(1.0, share))


def _comparable(first: Landmarks, second: Landmarks) -> int:
    """Return how many landmarks two recordings could share.

    Of a long recording only the smallest values were kept, and of a short excerpt of it all.
    """
    kept = [each.values[-1] for each in (first, second) if len(each.values) == MOST]
    limit = min(kept, default=np.iinfo(np.uint32).max)
    sizes = (np.searchsorted(each.values, limit, side="right") for each in (first, second))
    return int(min(sizes))
