"""log-WMSE: the error weighted by the sensitivity of hearing, also defined for silent stems."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stemsplit.evaluation.filtering import FirFilter
from stemsplit.evaluation.metrics import Number
from stemsplit.evaluation.shapes import Signals, blocks, check_pair, check_sources, match_type

DESIGN_RATE = 44_100  # Hz, at which the filter was designed
TAPS = 4000
FFT_SIZE = 8192  # of the design
#: torchaudio's default resampling: zero crossings of the sinc on each side, and the fraction of the
#: band to keep.
CROSSINGS = 6
ROLLOFF = 0.99
EPSILON = 1e-8  # added to the error, so that 73.68 is the highest score
QUIETEST = 1e-16  # lower limit of the mean square of a mixture


def log_wmse(
    references: Signals,
    estimates: Signals,
    sample_rate: int = 44_100,
    *,
    mixture: Signals | None = None,
) -> Number:
    """Return the log-WMSE ``(…, S)`` of ``(…, S, C, T)``; higher is better, 73.68 is perfect.

    ``−4 ln(m + 1e-8)``, averaged over channels, where ``m`` is the mean square of the error divided
    by that of the ``mixture`` ``(…, C, T)`` (by default the sum of the references), both filtered
    by the sensitivity of hearing. Silent references have a score too: that of a silent estimate is
    73.68. The definition and the filter are those of `torch-log-wmse` 1.1.0. At 44.1 kHz the scores
    agree within 1e-4, also for constant errors; at other rates within 2e-4, except for errors that
    are a tone of a few hertz (0.03 for 3 Hz at 16 kHz), since torchaudio computes the kernel that
    resamples the filter in single precision. Raises ``ValueError`` as ``global_sdr`` does.
    """
    truth, guess = check_sources(references, estimates)
    mix = truth.sum(-3) if mixture is None else check_pair(mixture, mixture)[0]
    if mix.shape != (*truth.shape[:-3], *truth.shape[-2:]):
        raise ValueError(f"mixture {tuple(mix.shape)} does not match stems {tuple(truth.shape)}")
    score = LogWmse(sample_rate)
    for block in blocks(truth, guess, mix):
        score.add(*block)
    return match_type(score.result(), references, estimates)


class LogWmse:
    """Computes ``log_wmse`` from blocks, in bounded memory."""

    def __init__(self, sample_rate: int) -> None:
        taps = design_filter(sample_rate)
        self._ringing = len(taps) - 1
        # Four times the taps or more: few samples are transformed twice.
        self._filter = FirFilter(taps, 1 << (4 * len(taps) - 1).bit_length())
        self._energy: Tensor | float = 0.0  # (…, S + 1, C): of the errors, and of the mixture
        self._frames = 0

    def add(self, truth: Tensor, guess: Tensor, mixture: Tensor) -> None:
        """Add the next block: stems ``(…, S, C, T)`` and their mixture ``(…, C, T)``, float64."""
        self._frames += truth.shape[-1]
        signals = torch.cat([guess - truth, mixture.detach().unsqueeze(-3)], -3)
        self._add_energy(self._filter.add(signals))

    def result(self) -> Tensor:
        """Return the scores ``(…, S)`` of all blocks; nothing can be added afterwards."""
        self._add_energy(self._filter.end(self._ringing))
        mean = torch.as_tensor(self._energy) / self._frames
        error = mean[..., :-1, :] / mean[..., -1:, :].clamp(min=QUIETEST)
        return (-4 * torch.log(error + EPSILON)).mean(-1)

    def _add_energy(self, weighted: Tensor) -> None:
        self._energy = self._energy + weighted.square().sum(-1)


def design_filter(sample_rate: int) -> NDArray[np.float64]:
    """Return the taps of the filter for the sensitivity of hearing at ``sample_rate``.

    They are symmetric, except for an extra tap at the end. Source:
    ``dev/create_freq_weighting_filter_ir.py`` of Nomono's `log-wmse-audio-quality`, whose result
    `torch-log-wmse` ships and resamples.
    """
    # Nomono sampled the response at this many points below half the rate, but not at it, and used
    # them as the bins of an FFT, so that all frequencies are shifted up by one part in 4097.
    points = FFT_SIZE // 2 + 1
    response = sensitivity(np.arange(points) / points * DESIGN_RATE / 2)
    impulse = np.fft.fftshift(np.fft.irfft(response, FFT_SIZE))
    first = FFT_SIZE // 2 + 1 - TAPS // 2
    return _resampled(impulse[first : first + TAPS], sample_rate)


def sensitivity(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the gain of hearing at frequencies ``hertz`` below 22,050; 1.19 at 1 kHz.

    The product of a high shelf (5 dB above 1.5 kHz), a Butterworth high pass (120 Hz, 2nd order), a
    peak (2.5 dB at 500 Hz), and a low pass of 1st order (10 kHz) run forwards and backwards; "Audio
    EQ Cookbook" filters at 44.1 kHz.
    """

    def s(corner: float) -> NDArray[np.complex128]:
        """Return the variable of the analogue prototypes, warped by the bilinear transform."""
        turn = np.pi / DESIGN_RATE
        return np.asarray(1j * np.tan(turn * hertz) / np.tan(turn * corner))

    amplitude, x = 10 ** (5 / 40), s(1_500)
    slope = np.sqrt(2 * amplitude) * x  # a quality of 1 / sqrt(2)
    shelf = amplitude * (amplitude * x**2 + slope + 1) / (x**2 + slope + amplitude)
    amplitude, x = 10 ** (2.5 / 40), s(500)
    quality = 1.5 / np.sqrt(2)
    peak = (x**2 + x * amplitude / quality + 1) / (x**2 + x / (amplitude * quality) + 1)
    x = s(120)
    high_pass = x**2 / (x**2 + np.sqrt(2) * x + 1)
    return np.asarray(np.abs(shelf * peak * high_pass / (1 + s(10_000)) ** 2))


def _resampled(taps: NDArray[np.float64], sample_rate: int) -> NDArray[np.float64]:
    """Return ``taps`` resampled to ``sample_rate`` as by torchaudio's ``Resample``.

    The gain depends on the rate, equally for the error and the mixture.
    """
    if sample_rate == DESIGN_RATE:
        return taps
    cutoff = ROLLOFF * min(sample_rate, DESIGN_RATE)
    width = int(np.ceil(CROSSINGS * DESIGN_RATE / cutoff))
    times = np.arange(-(-taps.size * sample_rate // DESIGN_RATE)) / sample_rate
    nearest = np.floor(times * DESIGN_RATE).astype(int)[:, None] + np.arange(-width, width + 2)
    away = np.clip((nearest / DESIGN_RATE - times[:, None]) * cutoff, -CROSSINGS, CROSSINGS)
    kernel = np.sinc(away) * np.cos(away * np.pi / CROSSINGS / 2) ** 2 * cutoff / DESIGN_RATE
    inside = (nearest >= 0) & (nearest < taps.size)
    return np.asarray((kernel * inside * taps[nearest.clip(0, taps.size - 1)]).sum(1))
