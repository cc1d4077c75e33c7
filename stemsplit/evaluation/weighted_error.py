"""log-WMSE: the error weighted by the sensitivity of hearing, defined for silent stems too."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stemsplit.evaluation.metrics import Number
from stemsplit.evaluation.shapes import Signals, blocks, check_pair, check_sources, match_type

#: The sensitivity of hearing, (Hz, dB): the response measured of the filter of `torch-log-wmse`
#: 1.1.0.
SENSITIVITY = (
    (5, -55.05), (10, -43.30), (15, -36.16), (20, -31.11), (25, -27.21), (31.5, -23.27),
    (40, -19.11), (50, -15.33), (63, -11.50), (80, -7.76), (100, -4.79), (125, -2.52),
    (160, -0.94), (200, -0.11), (250, 0.49), (315, 1.14), (400, 2.01), (500, 2.53), (630, 2.13),
    (800, 1.55), (1_000, 1.49), (1_250, 1.97), (1_600, 2.90), (2_000, 3.69), (2_500, 4.14),
    (3_150, 4.23), (4_000, 4.00), (5_000, 3.51), (6_300, 2.65), (8_000, 1.20), (10_000, -1.01),
    (11_000, -2.35), (12_000, -3.85), (13_000, -5.55), (14_000, -7.49), (15_000, -9.71),
    (16_000, -12.30), (17_000, -15.39), (18_000, -19.18), (19_000, -24.07), (20_000, -30.94),
    (20_500, -35.78), (21_000, -42.51), (21_500, -53.66), (22_050, -130.0),
)  # fmt: skip
TAPS_SECONDS = 0.1  # length of the filter, which resolves 20 Hz
EPSILON = 1e-8  # added to the error, so that 73.68 is the highest score
QUIETEST = 1e-16  # mean square of a mixture, at least


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
    by the sensitivity of hearing. Silent references have a score: silence in their place is 73.68.
    The definition is that of `torch-log-wmse` 1.1.0; our own filter of the same response moves
    scores by less than 0.02. Raises ``ValueError`` as ``global_sdr`` does.
    """
    truth, guess = check_sources(references, estimates)
    mix = truth.sum(-3) if mixture is None else check_pair(mixture, mixture)[0]
    if mix.shape != (*truth.shape[:-3], *truth.shape[-2:]):
        raise ValueError(f"mixture {tuple(mix.shape)} does not fit stems {tuple(truth.shape)}")
    score = LogWmse(sample_rate)
    for block in blocks(truth, guess, mix):
        score.add(*block)
    return match_type(score.result(), references, estimates)


class LogWmse:
    """``log_wmse`` of blocks in bounded memory."""

    def __init__(self, sample_rate: int) -> None:
        self._taps = torch.from_numpy(design_filter(sample_rate))
        self._context: Tensor | None = None
        self._energy: Tensor | float = 0.0  # (…, S + 1, C): of the errors, and of the mixture
        self._frames = 0

    def add(self, truth: Tensor, guess: Tensor, mixture: Tensor) -> None:
        """Take the next block: stems ``(…, S, C, T)`` and their mixture ``(…, C, T)``, float64."""
        self._frames += truth.shape[-1]
        self._filter(torch.cat([guess - truth, mixture.detach().unsqueeze(-3)], -3))

    def result(self) -> Tensor:
        """Return the scores ``(…, S)`` of all blocks; nothing can be added later."""
        assert self._context is not None, "nothing was added"
        self._filter(torch.zeros_like(self._context))  # the filter rings after the end
        mean = torch.as_tensor(self._energy) / self._frames
        error = mean[..., :-1, :] / mean[..., -1:, :].clamp(min=QUIETEST)
        return (-4 * torch.log(error + EPSILON)).mean(-1)

    def _filter(self, signals: Tensor) -> None:
        """Filter ``signals``, which continue earlier ones, and add their energy."""
        history = self._taps.numel() - 1
        if self._context is None:
            self._context = signals.new_zeros(*signals.shape[:-1], history)
        joined = torch.cat([self._context, signals], -1)
        size = 1 << (joined.shape[-1] - 1).bit_length()
        response = torch.fft.rfft(self._taps.to(signals.device), size)
        filtered = torch.fft.irfft(torch.fft.rfft(joined, size) * response, size)
        weighted = filtered[..., history : joined.shape[-1]]
        self._energy = self._energy + weighted.square().sum(-1)
        self._context = joined[..., joined.shape[-1] - history :]


def design_filter(sample_rate: int) -> NDArray[np.float64]:
    """Return the taps of a symmetric filter with the response of ``SENSITIVITY``."""
    size = 1 << int(np.ceil(np.log2(sample_rate)))  # finer than the table everywhere
    frequencies = np.fft.rfftfreq(size, 1 / sample_rate)
    hertz, level = np.array(SENSITIVITY).T
    decibels = np.interp(np.log(np.maximum(frequencies, 1e-9)), np.log(hertz), level)
    decibels[(frequencies < hertz[0] / 2) | (frequencies > hertz[-1])] = -np.inf
    impulse = np.fft.irfft(10 ** (decibels / 20), size)
    half = round(TAPS_SECONDS * sample_rate / 2)
    taps = np.concatenate([impulse[size - half :], impulse[: half + 1]])
    return np.asarray(taps * np.hanning(taps.size + 2)[1:-1])
