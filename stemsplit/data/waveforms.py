"""Building blocks of the synthetic instruments: oscillators, noise, filters, space and time.

Frequencies are in Hz, times in seconds, levels in dB, pitches in MIDI numbers (69 is 440 Hz).
Nothing here calls BLAS, whose sums differ with the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

#: One channel ``(T,)``, left and right ``(2, T)``, or a control curve ``(N,)``.
Signal = NDArray[np.float64]
Weight = NDArray[np.complex128]  # of one harmonic over time, with its phase

CONTROL_RATE = 700.0  # Hz, of control curves: pitch, loudness, formants


def harmonics(
    fundamental: Signal,
    response: Callable[[Signal], Weight],
    highest: float,
    frames: int,
    sample_rate: int,
) -> Signal:
    """Return ``(T,)``: the harmonics of ``fundamental`` (at ``CONTROL_RATE``) up to ``highest`` Hz.

    ``response`` returns the complex weight of a harmonic, given its frequency over time.
    """
    times = np.arange(frames) * (CONTROL_RATE / sample_rate)
    points = np.arange(fundamental.size)
    cycles = np.cumsum(np.interp(times, points, fundamental)) / sample_rate
    turn = np.exp(2j * np.pi * cycles)
    highest = min(highest, 0.45 * sample_rate)
    rotation, sound = np.ones_like(turn), np.zeros(frames)
    for number in range(1, int(highest / fundamental.min()) + 1):
        frequency = number * fundamental
        weight = np.where(frequency < highest, response(frequency), 0.0)
        rotation *= turn
        sound += np.interp(times, points, weight.real) * rotation.imag
        sound += np.interp(times, points, weight.imag) * rotation.real
    return sound


def hiss(rng: Generator, length: float, low: float, high: float, sample_rate: int) -> Signal:
    """Return ``length`` seconds of noise from ``low`` to ``high`` Hz, 0 dB (root mean square)."""
    frames = round(length * sample_rate)
    spectrum = np.fft.rfft(rng.standard_normal(frames))
    frequency = np.maximum(np.fft.rfftfreq(frames, 1 / sample_rate), 1.0)
    spectrum /= np.sqrt((1 + (low / frequency) ** 6) * (1 + (frequency / high) ** 6))
    noise = np.fft.irfft(spectrum, frames)
    return np.asarray(noise / np.sqrt(np.mean(noise**2)))


def reverberate(
    sound: Signal, rng: Generator, sample_rate: int, *, decay: float, level: float
) -> Signal:
    """Return ``sound`` ``(2, T)`` with reverberation of ``level`` dB.

    It decays by 60 dB in ``decay`` seconds.
    """
    tail = np.stack([hiss(rng, decay, 200, 5_000, sample_rate) for _ in range(2)])
    tail *= 10 ** (-3 * np.arange(tail.shape[-1]) / tail.shape[-1])
    tail[:, : round(0.012 * sample_rate)] = 0.0  # the walls are some metres away
    tail *= gain(level) / np.sqrt(np.sum(tail**2, axis=-1, keepdims=True))
    return sound + convolve(sound, tail)


def convolve(sound: Signal, kernel: Signal) -> Signal:
    """Return ``sound`` ``(..., T)`` filtered with ``kernel``, cut to the same ``T``."""
    frames = sound.shape[-1]
    size = 1 << (frames + kernel.shape[-1]).bit_length()
    product = np.fft.rfft(sound, size) * np.fft.rfft(kernel, size)
    return np.asarray(np.fft.irfft(product, size)[..., :frames])


def at(time: float, points: int) -> int:
    """Return the index of ``time`` seconds at ``CONTROL_RATE``, within ``points``."""
    return min(max(int(time * CONTROL_RATE), 0), points)


def smooth(curve: Signal, length: float) -> Signal:
    """Return ``curve`` ``(..., N)``, at ``CONTROL_RATE``, averaged over ``length`` seconds."""
    half = int(length * CONTROL_RATE / 2)
    kernel = hump(2 * half + 1)
    before = np.repeat(curve[..., :1], 2 * half, axis=-1)
    after = np.repeat(curve[..., -1:], half, axis=-1)
    extended = np.concatenate([before, curve, after], axis=-1)
    return convolve(extended, kernel / kernel.sum())[..., 3 * half :]


def hump(points: int) -> Signal:
    """Return a bell curve ``(N,)`` that rises from 0 to 1 and falls to 0."""
    return np.asarray(np.sin(np.pi * (np.arange(points) + 0.5) / points) ** 2)


def pan(sound: Signal, side: float) -> Signal:
    """Return ``sound`` ``(T,)`` as ``(2, T)`` of the same power; ``side`` is -1 (left) to 1."""
    angle = np.pi / 4 * (1 + side)
    return np.stack([np.cos(angle) * sound, np.sin(angle) * sound])


def place(track: Signal, start: float, sound: Signal, sample_rate: int) -> None:
    """Add ``sound`` to ``track`` from ``start`` seconds on; what lies outside is cut."""
    first = round(start * sample_rate)
    sound = sound[..., max(-first, 0) :]
    first = max(first, 0)
    count = min(sound.shape[-1], max(track.shape[-1] - first, 0))
    track[..., first : first + count] += sound[..., :count]


def gain(level: float) -> float:
    """Return the amplitude factor of ``level`` dB."""
    return float(10 ** (level / 20))


def hertz(pitch: float | Signal) -> Signal:
    """Return the frequency of MIDI number ``pitch``."""
    return np.asarray(440.0 * 2.0 ** ((np.asarray(pitch) - 69.0) / 12.0))
