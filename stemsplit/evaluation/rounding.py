"""BSS Eval in the very steps of `museval` 0.4.1, for songs of which rounding decides the scores.

Where references hold nothing in some band, nothing says what filters do there: what `museval` finds
is made of the rounding of its own sums. Filters for nothing are large, and at the borders of frames
they show, by decibels. What rounds alike are only the same transforms and the same elimination of
the same numbers, in the same order; all else can be done faster (`distortion`).
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stemsplit.evaluation.distortion import decibels

Spectrum: TypeAlias = NDArray[np.complex128]
Filters: TypeAlias = NDArray[np.floating]
Size: TypeAlias = tuple[int, int, int] | torch.Size
#: Bytes that it takes at most: those of four stereo stems of six minutes at 44.1 kHz.
LIMIT = 4_000_000_000
#: Frames at most: what each takes is bounded by memory, their number only by the hop.
FRAMES = 10_000
#: Shares of the work: a product of transforms is an eighth of what a pass over the song takes.
PRODUCTS_A_PASS = 8
#: Transforms from here on are multiplied by halves. NumPy writes a product over one of its factors
#: from 256 KiB on, which the whole of the next shorter one has and its half has not.
HALVED = 1 << 15


def can_hold(references: Size, window: int, hop: int, taps: int) -> bool:
    """Tell whether memory is enough for ``references`` ``(S, C, T)`` of this size."""
    frames = _count_frames(references[-1], window, hop)
    return frames <= FRAMES and _memory(references, window, taps) <= min(LIMIT, _available())


def count_work(references: Size, window: int, hop: int, taps: int) -> int:
    """Return the sum of what ``fit`` and the caller's frames of ``window`` samples are worth."""
    sources, channels, frames = references
    inputs = sources * channels
    products = inputs * (inputs + 1) // 2 + inputs**2
    measured = _count_frames(frames, window, hop) * min(window, frames)
    return products * _worth(frames) + measured


def _count_frames(frames: int, window: int, hop: int) -> int:
    return max(frames - window, 0) // hop + 1


def _worth(frames: int) -> int:
    """Return what a product counts for, in samples that are heard."""
    return -(-frames // PRODUCTS_A_PASS)


def _memory(references: Size, window: int, taps: int) -> int:
    """Return bytes that are enough for it and the song: it took less where it was measured."""
    sources, channels, frames = references
    inputs, size = sources * channels, _transform(frames, taps)
    system = 8 * (inputs * taps) ** 2
    # A transform and a product need 96 bytes a sample; a channel 8, and as many its transform.
    correlating = size * (96 + 16 * inputs) + system
    # Filters between all channels, jointly and not, and a frame's way through them.
    filters = 2 * 3 * 8 * inputs**2 * _transform(min(window, frames), taps)
    return max(correlating, 8 * inputs * frames + 3 * system + filters)


def _available() -> float:
    """Return the bytes of memory that are free or can be freed, infinity where nothing tells it.

    Free memory alone would not do: where files were read, most of the rest holds copies of them.
    """
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:  # not Linux
        return float("inf")
    kibibytes = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return 1024 * float(kibibytes[0]) if kibibytes else float("inf")


def lacks_memory(error: Exception) -> bool:
    """Tell whether ``error`` says that memory ran out: torch has no type of its own for that."""
    return isinstance(error, MemoryError) or "can't allocate memory" in str(error)


def fit(
    references: Tensor, estimates: Tensor, taps: int, length: int
) -> Generator[int, None, Replica]:
    """Return the filters of a song, and yield what each product was worth (see ``count_work``).

    References and estimates are ``(S, C, T)`` of the whole song, ``length`` that of the frames.
    Raises ``numpy.linalg.LinAlgError`` where `museval` has no solution.
    """
    channels, inputs = references.shape[1], references.shape[0] * references.shape[1]
    shape = (inputs, taps, inputs)
    gram, right = yield from _correlate(references, estimates, taps)
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
    return Replica(joint, own, length)


class Replica:
    """The filters of ``taps`` that `museval` fits to a song, and what it says of its frames."""

    def __init__(self, joint: Filters, own: Filters, length: int) -> None:
        """``joint`` and ``own`` are ``(A, taps, A)``, frames have ``length`` samples."""
        taps = joint.shape[1]
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
) -> Generator[int, None, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Return the products ``(A·L, A·L)`` of delayed references, and those with estimates.

    The latter are ``(A·L, A)``; of each channel all delays come together. Yields what each counts.
    """
    size = _transform(references.shape[-1], taps)
    spectra = [_transformed(channel, size) for channel in references.flatten(0, 1)]
    inputs, worth = len(spectra), _worth(references.shape[-1])
    gram = np.empty((inputs, taps, inputs, taps))
    right = np.empty((inputs, taps, inputs))
    for k, spectrum in enumerate(spectra):
        for j in range(k + 1):
            products = _products(spectrum, spectra[j], size, taps)
            block = np.lib.stride_tricks.sliding_window_view(products, taps)[::-1]
            gram[k, :, j], gram[j, :, k] = block, block.T
            yield worth
    for k, channel in enumerate(estimates.flatten(0, 1)):
        guess = _transformed(channel, size)
        for j, spectrum in enumerate(spectra):
            right[j, :, k] = _products(spectrum, guess, size, taps)[taps - 1 :: -1]
            yield worth
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
