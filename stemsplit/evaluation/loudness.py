"""Measure integrated loudness and true peak (ITU-R BS.1770-5) in blocks of any length."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from stemsplit.evaluation.framing import FrameMeter, Framer, Piece

#: The two filters of K-weighting at 48 kHz, numerator and denominator in powers of z⁻¹: a shelf
#: that models the effect of the head, and a high-pass (BS.1770-5, annex 1, tables 1 and 2).
STANDARD_RATE = 48_000
SHELF = (
    (1.53512485958697, -2.69169618940638, 1.19839281085285),
    (1.0, -1.69065929318241, 0.73248077421585),
)
HIGH_PASS = ((1.0, -2.0, 1.0), (1.0, -1.99004745483398, 0.99007225036621))
#: Seconds until the impulse response of the filters, mainly that of the high-pass, has decayed to
#: 230 dB below full scale.
RINGING = 0.12
#: Seconds: loudness is measured over 0.4 s, every 0.1 s (annex 1).
STEP = 0.1
STEPS = 4
ABSOLUTE_GATE = -70.0  # LUFS
RELATIVE_GATE = -10.0  # LU
OFFSET = -0.691  # dB, so that a 997 Hz sine reads as its level
#: Minimum oversampled rate in Hz for true peaks: four times 44.1 kHz (annex 2 requires four times
#: 48 kHz).
PEAK_RATE = 176_400
#: Samples on each side to interpolate from.
REACH = 16
#: Samples to interpolate together, from twice as many.
SPAN = 2 * REACH
#: Parameter of the Kaiser window, for a ripple of -80 dB.
KAISER = 8.0
PIECE = 32_768  # samples to filter at a time, or more where the filters ring longer


class LoudnessMeter(FrameMeter):
    """Integrated loudness of blocks ``(..., C, n)``, one or two channels, in LUFS.

    The K-weighting of the standard at 48 kHz is converted to ``sample_rate`` by the bilinear
    transform, and applied as an impulse response. The energy of every 0.1 s is kept in memory. The
    ``ebur128`` filter of ffmpeg agrees within 0.002 LU (15 files at 44.1 kHz).
    """

    def __init__(self, sample_rate: int) -> None:
        self._step = STEP * sample_rate
        taps = math.ceil(RINGING * sample_rate)
        size = 1 << (PIECE + 4 * taps).bit_length() - 1
        super().__init__(Framer(size - taps, before=taps))
        self._taps = taps
        response = _k_weighting(sample_rate, size, taps)
        self._response = torch.from_numpy(response).to(torch.complex64)
        self._energy: list[NDArray[np.float64]] = []  # (...) of each complete step
        self._open: NDArray[np.float64] | None = None  # of the incomplete step

    def result(self) -> NDArray[np.float64]:
        """Return the loudness ``(...)`` of all blocks; ``-inf`` if nothing passes the gates.

        A signal shorter than 0.4 s is measured as a whole.
        """
        self.end()
        if self._open is None:
            return np.array(-np.inf)
        energy = np.stack([*self._energy, self._open], axis=-1)
        whole = len(self._energy)
        if whole < STEPS:
            power = energy.sum(axis=-1, keepdims=True) / self._framer.frames
        else:
            ends = np.round(np.arange(whole + 1) * self._step)
            sums = np.cumsum(energy[..., :whole], axis=-1)
            sums = np.concatenate([np.zeros_like(sums[..., :1]), sums], axis=-1)
            power = (sums[..., STEPS:] - sums[..., :-STEPS]) / (ends[STEPS:] - ends[:-STEPS])
        return _gated(np.maximum(power, 0.0))

    def _measure(self, piece: Piece) -> None:
        """Add the energy of the weighted samples of ``piece`` to their steps."""
        samples = torch.from_numpy(piece.samples.astype(np.float32, copy=False))
        spectrum = torch.fft.rfft(samples) * self._response
        filtered = torch.fft.irfft(spectrum, samples.shape[-1])
        weighted = filtered[..., self._taps : self._taps + piece.valid]
        energy = weighted.square().sum(-2).numpy()  # over channels, each with weight 1
        start, end = piece.start, piece.start + piece.valid
        done = start
        while done < end:
            border = round((len(self._energy) + 1) * self._step)
            part = energy[..., done - start : border - start].sum(axis=-1, dtype=np.float64)
            self._open = part if self._open is None else self._open + part
            done = min(border, end)
            if done == border:
                self._energy.append(self._open)
                self._open = np.zeros_like(part)


class TruePeakMeter(FrameMeter):
    """The highest value at or between the samples of blocks ``(..., C, n)``; full scale is 1."""

    def __init__(self, sample_rate: int) -> None:
        kernels = _between_samples(max(2, math.ceil(PEAK_RATE / sample_rate)))
        # No interpolated value exceeds the highest sample near it by more than this factor.
        self._most = float(np.abs(kernels).sum(axis=-1).max())
        self._interpolate = _for_spans(kernels)
        super().__init__(Framer(PIECE // 2, before=REACH - 1, after=REACH + 1))
        self._peak: NDArray[np.float32] | None = None

    def result(self) -> NDArray[np.float32]:
        """Return the highest value ``(...)`` in all blocks and channels."""
        self.end()
        return np.zeros((), np.float32) if self._peak is None else self._peak

    def _measure(self, piece: Piece) -> None:
        samples = piece.samples.astype(np.float32, copy=False)
        *shape, size = samples.shape
        spans = np.abs(samples).reshape(*shape, size // SPAN, SPAN).max(axis=-1)
        highest = np.maximum(spans[..., :-1], spans[..., 1:])  # of all that a span depends on
        if self._peak is None:
            self._peak = np.zeros(shape[:-1], np.float32)
        np.maximum(self._peak, highest.max(axis=(-2, -1)), out=self._peak)
        chosen = highest * self._most > self._peak[..., None, None]
        windows = np.lib.stride_tricks.sliding_window_view(samples, 2 * SPAN, axis=-1)
        highest[chosen] = np.abs(windows[..., ::SPAN, :][chosen] @ self._interpolate).max(axis=-1)
        highest[~chosen] = 0  # most spans cannot contain the peak
        np.maximum(self._peak, highest.max(axis=(-2, -1)), out=self._peak)


def _between_samples(factor: int) -> NDArray[np.float32]:
    """Return kernels ``(factor - 1, 2 · REACH)`` for the positions between two samples."""
    shift = np.arange(1, factor)[:, None] / factor
    away = np.arange(2 * REACH) - (REACH - 1) - shift
    window = np.i0(KAISER * np.sqrt(1 - (away / REACH) ** 2)) / np.i0(KAISER)
    kernels = np.sinc(away) * window
    kernels /= kernels.sum(axis=-1, keepdims=True)
    return kernels.astype(np.float32)


def _for_spans(kernels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the matrix ``(2 · SPAN, N)`` that applies ``kernels`` at each sample of a span."""
    matrix = np.zeros((2 * SPAN, SPAN, len(kernels)), np.float32)
    for position in range(SPAN):
        matrix[position : position + 2 * REACH, position] = kernels.T
    return matrix.reshape(2 * SPAN, -1)


def _k_weighting(sample_rate: int, size: int, taps: int) -> NDArray[np.complex128]:
    """Return the spectrum of the K-weighting, ``taps`` long, for blocks of ``size`` samples."""
    turn = np.exp(-2j * np.pi * np.arange(size // 2 + 1) / size)
    response = np.ones_like(turn)
    for numerator, denominator in (SHELF, HIGH_PASS):
        above, below = at_rate(numerator, denominator, sample_rate)
        response *= np.polyval(above[::-1], turn) / np.polyval(below[::-1], turn)
    impulse = np.fft.irfft(response, size)
    return np.fft.rfft(impulse[:taps], size)


def at_rate(
    numerator: tuple[float, ...], denominator: tuple[float, ...], sample_rate: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Convert a two-pole filter from 48 kHz to ``sample_rate``, in powers of z⁻¹.

    The bilinear transform is inverted and applied again, prewarped to preserve the frequency of the
    poles.
    """
    poles = _to_s(denominator)
    corner = math.sqrt(poles[0] / poles[2])  # tan(π f / 48 kHz)
    wanted = math.tan(math.atan(corner) * STANDARD_RATE / sample_rate)
    scale = (corner / wanted) ** np.arange(3)
    above, below = _to_z(_to_s(numerator) * scale), _to_z(poles * scale)
    return above / below[0], below / below[0]


def _to_s(b: tuple[float, ...]) -> NDArray[np.float64]:
    """Return the polynomial in s, lowest power first, with s = (1 − z⁻¹) / (1 + z⁻¹)."""
    return np.array([b[0] + b[1] + b[2], 2 * (b[0] - b[2]), b[0] - b[1] + b[2]]) / 4


def _to_z(c: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the polynomial in z⁻¹ of one in s; the inverse of ``_to_s``."""
    return np.array([c[0] + c[1] + c[2], 2 * (c[0] - c[2]), c[0] - c[1] + c[2]])


def _gated(power: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the gated loudness ``(...)`` from the ``power`` ``(..., N)`` of blocks of 0.4 s."""
    with np.errstate(divide="ignore", invalid="ignore"):
        level = OFFSET + 10 * np.log10(power)
        passed = level > ABSOLUTE_GATE
        mean = np.sum(power, axis=-1, where=passed) / np.sum(passed, axis=-1)
        relative = OFFSET + 10 * np.log10(mean) + RELATIVE_GATE
        passed &= level > relative[..., None]
        mean = np.sum(power, axis=-1, where=passed) / np.sum(passed, axis=-1)
        loudness = OFFSET + 10 * np.log10(mean)
    return np.where(np.isnan(loudness), -np.inf, loudness)
