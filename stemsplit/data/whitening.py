"""Mean and scale of spectrograms by frequency, with which networks whiten their input."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stemsplit.audio.blocks import Block

#: Of Open-Unmix (training of its published models), at 44.1 kHz.
SIZE, HOP = 4096, 1024
#: The smallest scale of a bin, relative to the largest one: else empty bins would become noise.
LEAST_SCALE = 1e-4


@dataclass(frozen=True, slots=True)
class Whitening:
    """The ``mean`` and ``scale`` ``(F,)`` of magnitudes, and those of the samples."""

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]  # standard deviation, at least `LEAST_SCALE` of the largest
    sample_mean: float
    sample_scale: float  # standard deviation of the mean of the channels


class WhiteningMeter:
    """Statistics of the magnitudes of blocks ``(C, n)``, averaged over channels, song by song.

    The STFT has a Hann window of ``size`` samples every ``hop``, without padding, and is not
    scaled, as `torch.stft` computes it.
    """

    def __init__(self, size: int = SIZE, hop: int = HOP) -> None:
        self._size, self._hop = size, hop
        self._window = np.hanning(size + 1)[:-1].astype(np.float32)
        self._kept = np.zeros(0, np.float32)
        self._frames = self._samples = 0
        self._sum = np.zeros(size // 2 + 1)
        self._squares = np.zeros(size // 2 + 1)
        self._sample_sum = self._sample_squares = 0.0

    def add(self, block: Block) -> None:
        """Add the next block of a song."""
        mono = block.mean(axis=0, dtype=np.float32)
        self._samples += len(mono)
        self._sample_sum += float(mono.sum(dtype=np.float64))
        self._sample_squares += float(np.sum(mono.astype(np.float64) ** 2))
        samples = np.concatenate([self._kept, mono])
        count = max(0, (len(samples) - self._size) // self._hop + 1)
        if count:
            starts = np.arange(count) * self._hop
            frames = samples[starts[:, None] + np.arange(self._size)] * self._window
            magnitude = np.abs(np.fft.rfft(frames)).astype(np.float64)
            self._sum += magnitude.sum(axis=0)
            self._squares += np.sum(magnitude**2, axis=0)
            self._frames += count
        self._kept = samples[count * self._hop :]

    def end_song(self) -> None:
        """Begin another song: no frame contains parts of both."""
        self._kept = np.zeros(0, np.float32)

    def result(self) -> Whitening:
        """Return the statistics of all songs; zeros if no song is as long as a frame."""
        mean, scale = _moments(self._sum, self._squares, self._frames)
        sums = np.array(self._sample_sum), np.array(self._sample_squares)
        sample_mean, sample_scale = _moments(*sums, self._samples)
        floor = LEAST_SCALE * float(scale.max(initial=0.0))
        return Whitening(mean, np.maximum(scale, floor), float(sample_mean), float(sample_scale))


def _moments(
    total: NDArray[np.float64], squares: NDArray[np.float64], count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and standard deviation from sums over ``count`` values."""
    mean = total / max(count, 1)
    return mean, np.sqrt(np.maximum(squares / max(count, 1) - mean**2, 0.0))
