"""The mel scale, on which equal steps are perceived as equal intervals, and its bands.

It is that of M. Slaney's Auditory Toolbox (1998), which librosa uses as well: linear below 1 kHz,
logarithmic above.
"""

from __future__ import annotations

import math

LINEAR_STEP = 200 / 3  # Hz
LOGARITHMIC_START = 1000.0  # Hz
LOGARITHMIC_STEP = math.log(6.4) / 27


def mel_edges(count: int, sample_rate: int) -> list[float]:
    """Return ``count`` + 2 frequencies in Hz, evenly spaced in mel, from 0 to half the rate.

    Band n of ``count`` rises from edge n to n + 1, and falls to n + 2.
    """
    top = _mel(sample_rate / 2)
    return [_frequency(top * number / (count + 1)) for number in range(count + 2)]


def mel_triangles(count: int, n_fft: int, sample_rate: int) -> list[list[float]]:
    """Return the weight of each bin in each of ``count`` bands: a row of n_fft / 2 + 1 per band.

    A band is a triangle of height 1. The lowest and the highest bin, where all are 0, belong to the
    first and the last band. Raises ``ValueError`` if a band would have no bin.
    """
    edges = mel_edges(count, sample_rate)
    bins = [bin * sample_rate / n_fft for bin in range(n_fft // 2 + 1)]
    rows = [
        [max(0.0, min((f - low) / (middle - low), (high - f) / (high - middle))) for f in bins]
        for low, middle, high in zip(edges[:-2], edges[1:-1], edges[2:], strict=True)
    ]
    if not all(any(row[1:-1]) for row in rows):
        raise ValueError(f"{count} bands are too many for windows of {n_fft} samples")
    rows[0][0] = rows[-1][-1] = 1.0
    return rows


def _mel(frequency: float) -> float:
    """Return the place of ``frequency`` (Hz) on the mel scale."""
    if frequency < LOGARITHMIC_START:
        return frequency / LINEAR_STEP
    start = LOGARITHMIC_START / LINEAR_STEP
    return start + math.log(frequency / LOGARITHMIC_START) / LOGARITHMIC_STEP


def _frequency(mel: float) -> float:
    """Return the frequency in Hz at a place on the mel scale."""
    start = LOGARITHMIC_START / LINEAR_STEP
    if mel < start:
        return mel * LINEAR_STEP
    return LOGARITHMIC_START * math.exp(LOGARITHMIC_STEP * (mel - start))
