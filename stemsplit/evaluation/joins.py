"""Jumps at the borders of the segments that a song was separated in."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stemsplit.evaluation.framing import Framer, Meter, Piece, Samples

#: Samples on each side of a place that its bend is compared with: 6 ms at 44.1 kHz, a power of two.
REACH = 256
#: Samples around a place that belong to the jump itself: a step bends the wave on both its sides,
#: and resampling spreads it.
NEAR = 2
#: Bends below this are not heard, and the least significant bit of 16 makes some in silence.
FLOOR = 1e-4
PIECE = 32_768


@dataclass(frozen=True, slots=True)
class Borders:
    """Where segments begin and end, in samples of the stems (not whole if they were resampled)."""

    hop: float  # from the beginning of a segment to the next
    segment: float  # how long each is

    def within(self, start: int, end: int) -> NDArray[np.int64]:
        """Return the places from ``start`` up to ``end``, but for the beginning of the song."""
        places = []
        for offset in (0.0, self.segment):
            first = max(0, math.ceil((start - 0.5 - offset) / self.hop))
            last = math.floor((end - 0.5 - offset) / self.hop)
            places.append(np.rint(offset + self.hop * np.arange(first, last + 1)))
        found = np.unique(np.concatenate(places)).astype(np.int64)
        return found[(found >= max(1, start)) & (found < end)]


class JoinMeter(Meter):
    """The most that a wave ``(..., C, n)`` stands out by a jump, in dB.

    The bend of a wave is its second difference |x[t−1] − 2 x[t] + x[t+1]|, which a step or a kink
    makes large. It stands out by as much as it is larger than all the bends within ``REACH``
    samples on both sides, since an onset in music does not come alone. The result is the largest
    one at ``borders``; without them, of all places, where music reaches some dB by chance.
    """

    def __init__(self, borders: Borders | None = None) -> None:
        self._borders = borders
        margin = REACH + NEAR + 1
        super().__init__(Framer(PIECE, before=margin, after=margin))
        self._most: Samples | None = None

    def result(self) -> NDArray[np.float64]:
        """Return the largest jump ``(...)`` of all blocks in dB; ``-inf`` where there is none."""
        self.end()
        if self._most is None:
            return np.array(-np.inf)
        with np.errstate(divide="ignore"):
            return 20 * np.log10(self._most.astype(np.float64))

    def _measure(self, piece: Piece) -> None:
        frames, margin = self._framer.frames, REACH + NEAR + 1
        samples = piece.samples
        bend = np.abs(samples[..., :-2] - 2 * samples[..., 1:-1] + samples[..., 2:])
        # bend[..., k] is that of the place ``first + k``; what lies outside of the song is silence,
        # and its border is no join.
        first = piece.start - margin + 1
        bend[..., : max(0, 1 - first)] = 0
        bend[..., max(0, frames - 1 - first) :] = 0
        highest = _highest_ahead(bend)
        # The place ``start`` is bend[..., REACH + NEAR].
        centre = slice(REACH + NEAR, REACH + NEAR + piece.valid)
        before = highest[..., : piece.valid]
        after = highest[..., REACH + 2 * NEAR + 1 :][..., : piece.valid]
        ratio: Samples = bend[..., centre] / np.maximum(np.maximum(before, after), FLOOR)
        if self._borders is not None:
            ratio = _at_borders(self._borders, ratio, piece)
        most = ratio.max(axis=(-2, -1), initial=0.0)  # over the channels too
        self._most = most if self._most is None else np.maximum(self._most, most)


def _at_borders(borders: Borders, ratio: Samples, piece: Piece) -> Samples:
    """Return what ``ratio`` is at the borders, and at the places next to them."""
    start, end = piece.start, piece.start + piece.valid
    places = borders.within(start - NEAR, end + NEAR) - start
    near = (places[:, None] + np.arange(-NEAR, NEAR)).reshape(-1)
    return ratio[..., near[(near >= 0) & (near < piece.valid)]]


def _highest_ahead(values: Samples) -> Samples:
    """Return the highest of the ``REACH`` values ``(..., n)`` from each place on."""
    width = 1
    while width < REACH:
        values = np.maximum(values[..., :-width], values[..., width:])
        width *= 2
    return values
