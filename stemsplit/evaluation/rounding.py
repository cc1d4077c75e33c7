"""BSS Eval in the very steps of `museval` 0.4.1, for songs of which rounding decides the scores.

Where references hold nothing in some band, nothing says what filters do there: what `museval` finds
is made of the rounding of its own sums. Filters for nothing are large, and at the borders of frames
they show, by decibels. What rounds alike are only the same transforms and the same elimination of
the same numbers, in the same order; all else can be done faster (`distortion`).
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stemsplit.evaluation.distortion import decibels

Spectrum: TypeAlias = NDArray[np.complex128]
Size: TypeAlias = tuple[int, int, int] | torch.Size
#: Samples of transforms of all references that are held in memory: four stereo stems of six minutes
#: at 44.1 kHz, with which it takes 4 GB.
LIMIT = 1 << 27
#: Likewise of the filters between all channels, 1 GB: eight stereo stems in frames of a second.
FILTERS = 1 << 25
#: Transforms from here on are multiplied by halves. NumPy writes a product over one of its factors
#: from 256 KiB on, which the whole of the next shorter one has and its half has not.
HALVED = 1 << 15


def can_hold(references: Size, window: int, taps: int) -> bool:
    """Tell whether memory is enough for ``references`` ``(S, C, T)`` of this size."""
    sources, channels, frames = references
    inputs = sources * channels
    between = inputs**2 * _transform(min(window, frames), taps)
    return inputs * _transform(frames, taps) <= LIMIT and between <= FILTERS


class Replica:
    """The filters of ``taps`` that `museval` fits to a song, and what it says of its frames."""

    def __init__(self, references: Tensor, estimates: Tensor, taps: int, length: int) -> None:
        """Both are ``(S, C, T)`` of the whole song, ``length`` that of the frames.

        Raises ``numpy.linalg.LinAlgError`` where `museval` has no solution.
        """
        channels, inputs = references.shape[1], references.shape[0] * references.shape[1]
        shape = (inputs, taps, inputs)
        gram, right = _correlate(references, estimates, taps)
        gram[np.diag_indices(len(gram))] += np.finfo(np.float64).eps
        # One elimination for all right sides: each is rounded as it is alone.
        joint = np.linalg.solve(gram, right).reshape(shape)
        own = np.zeros(shape)
        for start in range(0, inputs, channels):
            part = slice(start, start + channels)
            rows = slice(start * taps, part.stop * taps)
            own[part, :, part] = np.linalg.solve(
                np.ascontiguousarray(gram[rows, rows]), np.ascontiguousarray(right[rows, part])
            ).reshape(channels, taps, channels)
        self._length = length + taps - 1
        self._size = _transform(length, taps)
        filters = torch.from_numpy(np.stack([joint, own])).movedim(2, 3)
        self._filters = torch.fft.rfft(filters, self._size)  # (2, A, A, F)

    def measure(self, frame: Tensor) -> Tensor:
        """Return SDR, ISR, SIR and SAR ``(4, S)``, dB, of a frame ``(2, S, C, length)``."""
        spectra = torch.fft.rfft(frame[0].flatten(0, 1), self._size)
        filtered = (self._filters * spectra[:, None]).sum(1)
        explained, allowed = torch.fft.irfft(filtered, self._size)[..., : self._length].unflatten(
            1, frame.shape[1:3]
        )
        truth, guess = torch.nn.functional.pad(frame, (0, self._length - frame.shape[-1]))
        signals = (truth, truth, allowed, explained)
        errors = (guess - truth, allowed - truth, explained - allowed, guess - explained)
        energies = [
            torch.stack([torch.linalg.vecdot(w.flatten(1), w.flatten(1)) for w in waves])
            for waves in (signals, errors)
        ]
        return decibels(*energies)


def _correlate(
    references: Tensor, estimates: Tensor, taps: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the products ``(A·L, A·L)`` of delayed references, and those with estimates.

    The latter are ``(A·L, A)``; of each channel all delays come together.
    """
    size = _transform(references.shape[-1], taps)
    spectra = [_transformed(channel, size) for channel in references.flatten(0, 1)]
    inputs = len(spectra)
    gram = np.empty((inputs, taps, inputs, taps))
    right = np.empty((inputs, taps, inputs))
    for k, spectrum in enumerate(spectra):
        for j in range(k + 1):
            products = _products(spectrum, spectra[j], size, taps)
            block = np.lib.stride_tricks.sliding_window_view(products, taps)[::-1]
            gram[k, :, j], gram[j, :, k] = block, block.T
    for k, channel in enumerate(estimates.flatten(0, 1)):
        guess = _transformed(channel, size)
        for j, spectrum in enumerate(spectra):
            right[j, :, k] = _products(spectrum, guess, size, taps)[taps - 1 :: -1]
    return gram.reshape(inputs * taps, -1), right.reshape(inputs * taps, inputs)


def _transform(frames: int, taps: int) -> int:
    """Return the length of transforms: the next power of two that leaves room for the filters."""
    return 1 << (frames + taps - 2).bit_length()


def _transformed(channel: Tensor, size: int) -> Spectrum:
    return np.fft.rfft(channel.double().numpy(), size)


def _products(first: Spectrum, second: Spectrum, size: int, taps: int) -> NDArray[np.float64]:
    """Return ``Σ a[t + k]·b[t]`` for the lags k from ``1 − taps`` to ``taps − 1``.

    By the transform of a complex wave though it is a real one, and by this expression: NumPy rounds
    a product of complex numbers otherwise where it is written to another place.
    """
    if size < HALVED:
        one, other = _mirrored(first, size), _mirrored(second, size)
        whole = one * other.conj()
    else:
        whole = _mirrored(first * second.conj(), size)
    products = np.fft.ifft(whole).real
    return np.concatenate([products[1 - taps :], products[:taps]])


def _mirrored(half: Spectrum, size: int) -> Spectrum:
    """Return the ``size`` bins of a real wave's spectrum of which ``half`` are the first."""
    whole = np.empty(size, np.complex128)
    whole[: len(half)] = half
    np.conjugate(whole[size // 2 - 1 : 0 : -1], out=whole[len(half) :])
    return whole
