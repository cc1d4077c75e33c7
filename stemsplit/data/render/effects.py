"""What happens to sound between an instrument and the master: filters, amplifiers, rooms, limiter.

Nothing here calls BLAS, whose sums differ with the number of threads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.random import Generator
from numpy.typing import NDArray

from stemsplit.data.waveforms import Signal, gain, hiss

TAPS = 2048  # of filters
BLOCK = 2**17  # frames to filter at a time
#: Response of a guitar cabinet with one 12-inch loudspeaker, roughly: dB by Hz.
CABINET = {
    40: -30.0,
    80: -6.0,
    120: 2.0,
    400: 0.0,
    1_000: -2.0,
    2_600: 5.0,
    5_000: -6.0,
    8_000: -40.0,
}
#: Centres of random equalisers, Hz.
EQUALISER = (60, 200, 700, 2_500, 9_000)
LOUD = 20.0  # dB below the loudest tenth of a second, within which sound counts for its level

HOP = 64  # frames, of the limiter
REACH = 34  # hops that it looks ahead and back: 50 ms at 44.1 kHz


def make_filter(response: Mapping[int, float], sample_rate: int) -> Signal:
    """Return a minimum-phase filter ``(TAPS,)``; ``response`` is dB by Hz, joined by lines."""
    frequency = np.maximum(np.fft.rfftfreq(TAPS, 1 / sample_rate), 1.0)
    points = np.log(list(response))
    level = np.interp(np.log(frequency), points, list(response.values()))
    # The phase is the Hilbert transform of the logarithm of the magnitude.
    cepstrum = np.fft.irfft(level * (np.log(10) / 20), TAPS)
    cepstrum[1 : TAPS // 2] *= 2
    cepstrum[TAPS // 2 + 1 :] = 0
    return np.asarray(np.fft.irfft(np.exp(np.fft.rfft(cepstrum)), TAPS))


def random_equaliser(rng: Generator, deviation: float, sample_rate: int) -> Signal:
    """Return a filter ``(TAPS,)`` whose bands deviate by ``deviation`` dB."""
    levels = np.clip(rng.normal(0, deviation, len(EQUALISER)), -9, 9)
    return make_filter(dict(zip(EQUALISER, levels.tolist(), strict=True)), sample_rate)


def make_room(rng: Generator, decay: float, level: float, sample_rate: int) -> Signal:
    """Return the response ``(2, K)`` of a room, whose sound is at ``level`` dB.

    It decays by 60 dB in ``decay`` seconds.
    """
    tail = np.stack([hiss(rng, decay, 150, 6_000, sample_rate) for _ in range(2)])
    tail *= 10 ** (-3 * np.arange(tail.shape[-1]) / tail.shape[-1])
    tail[:, : round(rng.uniform(0.004, 0.02) * sample_rate)] = 0.0
    tail *= gain(level) / np.sqrt(np.sum(tail**2, axis=-1, keepdims=True))
    tail[:, 0] = 1.0
    return np.asarray(tail)


def combine_kernels(kernels: Sequence[Signal]) -> Signal:
    """Return one kernel ``(2, K)`` in place of several, each ``(2, K)`` or ``(K,)``."""
    size = sum(each.shape[-1] for each in kernels)
    size = 1 << size.bit_length()
    product = np.ones((2, size // 2 + 1), complex)
    for each in kernels:
        product *= np.fft.rfft(each, size)
    return np.asarray(np.fft.irfft(product, size)[:, : sum(each.shape[-1] for each in kernels)])


def convolve(sound: NDArray[np.float32], kernel: Signal) -> NDArray[np.float32]:
    """Return ``sound`` ``(2, T)`` filtered with ``kernel`` ``(2, K)``, cut to the same ``T``."""
    frames, taps = sound.shape[-1], kernel.shape[-1]
    step = BLOCK - taps + 1
    spectrum = np.fft.rfft(kernel.astype(np.float32), BLOCK)
    filtered = np.zeros((2, frames + BLOCK), np.float32)
    for start in range(0, frames, step):
        block = np.fft.rfft(sound[:, start : start + step], BLOCK)
        filtered[:, start : start + BLOCK] += np.fft.irfft(block * spectrum, BLOCK)
    return filtered[:, :frames]


def overdrive(sound: NDArray[np.float32], drive: float) -> NDArray[np.float32]:
    """Return ``sound`` clipped softly; ``drive`` dB above full scale is its peak before."""
    peak = float(np.abs(sound).max(initial=0.0))
    if peak == 0:
        return sound
    return np.asarray(np.tanh(sound * np.float32(gain(drive) / peak)))


def balance(sound: NDArray[np.float32], side: float) -> NDArray[np.float32]:
    """Return ``sound`` ``(2, T)``, moved to ``side``, from -1 (left) to 1."""
    angle = np.pi / 4 * (1 + side)
    sides = np.array([[np.cos(angle)], [np.sin(angle)]], np.float32)
    return sound * (sides * np.float32(np.sqrt(2)))


def level_of(sound: NDArray[np.float32], sample_rate: int) -> float:
    """Return the level of the loud parts of ``sound`` ``(2, T)``, root mean square, 0 if silent."""
    size = sample_rate // 10
    count = sound.shape[-1] // size
    if count == 0:
        return float(np.sqrt(np.mean(sound.astype(np.float64) ** 2)))
    power = np.mean(
        sound[:, : count * size].reshape(2, count, size).astype(np.float64) ** 2, (0, 2)
    )
    return float(np.sqrt(power[power >= power.max() * 10 ** (-LOUD / 10)].mean()))


def limit(sounds: NDArray[np.float32], ceiling: float) -> NDArray[np.float32]:
    """Return the gain ``(T,)`` that keeps all of ``sounds`` ``(C, T)`` below ``ceiling``.

    Applied to all stems, it leaves their sum the mixture.
    """
    frames = sounds.shape[-1]
    count = -(-frames // HOP)
    peaks = np.zeros(count * HOP, np.float32)
    peaks[:frames] = np.abs(sounds).max(axis=0)
    wanted = np.minimum(1.0, ceiling / np.maximum(peaks.reshape(-1, HOP).max(axis=1), 1e-9))
    lowest = sliding_window_view(np.pad(wanted, REACH + 1, mode="edge"), 2 * REACH + 3).min(axis=1)
    weights = np.hanning(2 * REACH + 3)[1:-1]
    weights /= weights.sum()
    smoothed = sliding_window_view(np.pad(lowest, REACH, mode="edge"), 2 * REACH + 1) * weights
    centres = (np.arange(count) + 0.5) * HOP
    curve = np.interp(np.arange(frames), centres, smoothed.sum(axis=1))
    return np.asarray(curve, np.float32)
