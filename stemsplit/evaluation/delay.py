"""Find the delay of an estimate against its reference, and inverted polarity."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from stemsplit.evaluation.framing import Framer, Piece, Samples

REACH = 1.0  # s, the maximum delay to search for
#: The minimum ratio of the peak to the RMS value of the other lags. It is 5 for noise; up to 24 for
#: different stems of one song, which share their beat; 90 to 300 for a stem and its copy at 0 dB
#: SNR, but 23 to 26 for bass, whose peak is broad (three songs of 13 to 35 s).
CLEAR = 25.0
#: Power, relative to the maximum of the spectrum, below which bins consist of rounding errors.
INAUDIBLE = 1e-9
#: Seconds on either side that belong to the peak.
NEAR = 0.005


class DelayMeter:
    """Delays of estimates ``(S, C, n)`` against references ``(S, C, n)``, block by block.

    The cross-spectrum of each pair is summed over pieces of several seconds and over channels, and
    whitened by both power spectra (the smoothed coherence transform, C. Knapp and G. Carter, "The
    generalized correlation method for estimation of time delay", IEEE ASSP 24 (1976)). Otherwise
    tones would produce many similar peaks, and frequencies outside the reference would count.
    """

    def __init__(self, sample_rate: int) -> None:
        self._lags = max(1, round(REACH * sample_rate))
        self._near = max(1, round(NEAR * sample_rate))
        self._size = 1 << math.ceil(math.log2(4 * self._lags + 2))
        hop = self._size - 2 * self._lags
        self._framer = Framer(hop, before=self._lags, after=self._lags)
        self._cross: NDArray[np.complex128] | None = None  # (S, F)
        self._powers: NDArray[np.float64] = np.zeros(0)  # (2, S, F)

    def add(self, references: Samples, estimates: Samples) -> None:
        """Add the next block of both, of equal shape."""
        for piece in self._framer.add(np.stack([references, estimates])):
            self._measure(piece)

    def result(self) -> list[tuple[int | None, bool]]:
        """Return for each stem the delay of the estimate in samples, and whether it is inverted.

        The result is ``(None, False)`` if no lag stands out: one of the two signals is silent, or
        they are unrelated.
        """
        for piece in self._framer.end():
            self._measure(piece)
        if self._cross is None:
            return []
        return [
            self._peak(cross, *powers)
            for cross, powers in zip(self._cross, self._powers.swapaxes(0, 1), strict=True)
        ]

    def _measure(self, piece: Piece) -> None:
        if self._cross is not None and piece.valid < self._lags:
            return  # a short window blurs the spectrum; earlier pieces suffice
        # Only the middle of the reference is used, so that the estimate contains all of it at each
        # lag. Both are faded in and out, because hard cuts would correlate with each other.
        begin = max(0, self._lags - piece.start)
        end = min(self._size, self._lags + self._framer.frames - piece.start)
        middle = self._window(self._lags, self._lags + piece.valid, piece.valid // 2)
        all_of_it = self._window(begin, end, min(self._lags, (end - begin) // 2))
        windows = np.stack([middle, all_of_it])[:, None]
        stems = piece.samples.shape[1]
        if self._cross is None:
            self._cross = np.zeros((stems, self._size // 2 + 1), np.complex128)
            self._powers = np.zeros((2, *self._cross.shape))
        # Stem by stem: the spectra of all of them would not fit into the cache.
        for stem in range(stems):
            samples = torch.from_numpy(piece.samples[:, stem].astype(np.float32) * windows)
            spectrum = torch.fft.rfft(samples).numpy()
            self._powers[:, stem] += (spectrum.real**2 + spectrum.imag**2).sum(axis=1)
            self._cross[stem] += (spectrum[0].conj() * spectrum[1]).sum(axis=0)

    def _window(self, begin: int, end: int, edge: int) -> NDArray[np.float32]:
        """Return a window from ``begin`` to ``end`` with slopes of ``edge`` samples."""
        slope = np.hanning(2 * edge + 1)[:edge]
        window = np.zeros(self._size, np.float32)
        window[begin:end] = 1
        window[begin : begin + edge] = slope
        window[end - edge : end] = slope[::-1]
        return window

    def _peak(
        self,
        cross: NDArray[np.complex128],
        reference: NDArray[np.float64],
        estimate: NDArray[np.float64],
    ) -> tuple[int | None, bool]:
        """Return the delay, and whether the polarity is inverted, from spectra ``(F,)``."""
        norm = np.sqrt(reference * estimate)
        floor = INAUDIBLE * float(norm.max())
        coherence = np.divide(cross, norm + floor, out=np.zeros_like(cross), where=norm > 0)
        curve = np.fft.irfft(coherence, self._size)
        curve = np.concatenate([curve[-self._lags :], curve[: self._lags + 1]])
        place = int(np.argmax(np.abs(curve)))
        rest = np.delete(curve, slice(max(0, place - self._near), place + self._near + 1))
        rms = math.sqrt(float(np.mean(rest**2))) if rest.size else 0.0
        if not abs(curve[place]) > CLEAR * rms:
            return None, False
        return place - self._lags, bool(curve[place] < 0)
