"""Linear filters of long signals, applied as a product of spectra."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from stemsplit.training.augment.base import Signals

#: Maps z⁻¹ on the upper half of the unit circle to the response there; ``(F,)``, or ``(C, F)``.
Response = Callable[[NDArray[np.complex128]], NDArray[np.complex128]]
#: Lengths of tails are rounded up to a power of two, at least this: few lengths of FFTs are used.
SHORTEST_TAIL = 1024


def apply_response(signal: Signals, response: Response, tail: int) -> Signals:
    """Return ``signal`` (C, T) filtered by ``response``, which rings for ``tail`` frames.

    The signal is silent before its start; what rings after its end is cut.
    """
    frames = signal.shape[-1]
    longest = max(SHORTEST_TAIL, 1 << (tail - 1).bit_length())
    length = fast_length(frames + longest)
    spectrum = np.fft.rfft(signal, length) * response(_inverse_z(length)).astype(np.complex64)
    return np.fft.irfft(spectrum, length)[..., :frames].astype(np.float32)


def convolve(signal: Signals, impulses: Signals) -> Signals:
    """Return ``signal`` (C, T) convolved with ``impulses`` (C or 1, n), cut to T frames."""
    frames = signal.shape[-1]
    impulses = impulses[..., :frames]
    length = fast_length(frames + impulses.shape[-1] - 1)
    spectrum = np.fft.rfft(signal, length) * np.fft.rfft(impulses, length)
    return np.fft.irfft(spectrum, length)[..., :frames].astype(np.float32)


def resample_to(signal: Signals, frames: int) -> Signals:
    """Return ``signal`` (C, T) with ``frames`` samples in the same time, band-limited.

    The signal counts as periodic, so its ends should be silent.
    """
    before = signal.shape[-1]
    spectrum = np.fft.rfft(signal)[..., : frames // 2 + 1]
    if (shorter := min(before, frames)) % 2 == 0 and before != frames:
        spectrum[..., shorter // 2] = 0  # its phase is lost at one of the rates
    resampled: Signals = np.fft.irfft(spectrum, frames).astype(np.float32)
    resampled *= np.float32(frames / before)
    return resampled


@lru_cache(maxsize=4)
def _inverse_z(length: int) -> NDArray[np.complex128]:
    """Return e^(-iω) (F,) at the frequencies of an FFT of ``length``."""
    points: NDArray[np.complex128] = np.exp(-2j * np.pi * np.arange(length // 2 + 1) / length)
    return points


@lru_cache(maxsize=64)
def fast_length(least: int) -> int:
    """Return the smallest even length ≥ ``least`` with no prime factor above 5."""
    best = 1 << max(1, (least - 1).bit_length())
    fives = 1
    while fives < best:
        odd = fives
        while odd < best:
            twos = 1 << max(1, (-(-least // odd) - 1).bit_length())
            best = min(best, odd * twos)
            odd *= 3
        fives *= 5
    return best
