"""Measure discontinuities, such as cuts or mismatched segments."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stemsplit.evaluation.framing import FrameMeter, Framer, Piece, Samples

#: Samples on each side to compare the curvature with: 6 ms at 44.1 kHz, a power of two.
REACH = 256
#: Samples around a position that belong to the same discontinuity: a step causes curvature on both
#: sides, and resampling spreads it.
NEAR = 2
#: Curvature below this is inaudible, such as that of the least significant bit of 16 in silence.
FLOOR = 1e-4
PIECE = 32_768


class JoinMeter(FrameMeter):
    """The largest discontinuity of waveforms ``(..., C, n)``, in dB.

    The curvature of a waveform is its second difference |x[t−1] − 2 x[t] + x[t+1]|, which is large
    at a step or a kink. It is measured relative to the largest one within ``REACH`` samples on
    both sides, because the onset of a note raises all of them. Music itself reaches about 15 dB.
    """

    def __init__(self) -> None:
        margin = REACH + NEAR + 1
        super().__init__(Framer(PIECE, before=margin, after=margin))
        self._most: Samples | None = None

    def result(self) -> NDArray[np.float64]:
        """Return the largest discontinuity ``(...)`` in all blocks, dB; ``-inf`` if none."""
        self.end()
        if self._most is None:
            return np.array(-np.inf)
        with np.errstate(divide="ignore"):
            return 20 * np.log10(self._most.astype(np.float64))

    def _measure(self, piece: Piece) -> None:
        frames, margin = self._framer.frames, REACH + NEAR + 1
        samples = piece.samples
        curvature = np.abs(samples[..., :-2] - 2 * samples[..., 1:-1] + samples[..., 2:])
        # curvature[..., k] is that at the position ``first + k``. The start and the end of the
        # song, where silence begins or ends, do not count.
        first = piece.start - margin + 1
        curvature[..., : max(0, 1 - first)] = 0
        curvature[..., max(0, frames - 1 - first) :] = 0
        highest = _highest_ahead(curvature)
        # The position ``start`` is curvature[..., REACH + NEAR].
        centre = slice(REACH + NEAR, REACH + NEAR + piece.valid)
        before = highest[..., : piece.valid]
        after = highest[..., REACH + 2 * NEAR + 1 :][..., : piece.valid]
        ratio: Samples = curvature[..., centre] / np.maximum(np.maximum(before, after), FLOOR)
        most = ratio.max(axis=(-2, -1))  # over channels and time
        self._most = most if self._most is None else np.maximum(self._most, most)


def _highest_ahead(values: Samples) -> Samples:
    """Return the maximum of the ``REACH`` values ``(..., n)`` that start at each position."""
    width = 1
    while width < REACH:
        values = np.maximum(values[..., :-width], values[..., width:])
        width *= 2
    return values
