"""Scores from 0 to 100 for spectral errors, some of them only for excess or missing energy.

They are those of the community's trainer (R. Solovyev, Music-Source-Separation-Training,
``utils/metrics.py``) and of the MVSep leaderboard, which compute them at 44.1 kHz. Here the mel
bands follow the sample rate.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from stemsplit.evaluation.magnitudes import logarithms, magnitudes
from stemsplit.evaluation.mel import MelFilters
from stemsplit.evaluation.metrics import Number
from stemsplit.evaluation.shapes import Signals, blocks, check_pair, match_type
from stemsplit.evaluation.stft_distance import to_score
from stemsplit.evaluation.stft_frames import CentredFrames

#: Transform and hop of L1-freq, in samples, without a window.
L1_TRANSFORM, L1_HOP = 2_048, 1_024
#: Transform, hop and bands of bleedless and fullness.
TRANSFORM, HOP, MEL_BANDS = 4_096, 1_024, 512
QUIETEST = 1e-10  # the least magnitude of a band
RANGE = 80.0  # dB below the loudest band of the song: quieter bands count as this


def l1_freq(reference: Signals, estimate: Signals) -> Number:
    """Return the L1-freq score ``(…)`` of signals ``(…, C, T)``: 0 to 100, higher is better.

    ``100 / (1 + 10 d)``, where ``d`` is the mean of ``||S| − |Ŝ||`` over channels, bins and frames
    of 2048 samples, every 1024, without a window. It depends on the level of the song. Raises
    ``ValueError`` as ``global_sdr`` does.
    """
    truth, guess = check_pair(reference, estimate)
    score = L1Freq()
    for block in blocks(truth, guess):
        score.add(*block)
    return match_type(score.result(), reference, estimate)


def bleedless(reference: Signals, estimate: Signals, sample_rate: int = 44_100) -> Number:
    """Return the bleedless score ``(…)`` of signals ``(…, C, T)``: 0 to 100, higher is better.

    ``100 / (1 + m)``, where ``m`` is the mean excess, in dB, of the estimate over the reference in
    the bands and frames where the estimate is louder: 512 mel bands, frames of 4096 samples, every
    1024. Levels more than 80 dB below the loudest count as 80 dB below it, separately for reference
    and estimate. The score is 100 without any excess. Since rounding decides whether equal levels
    differ, levels are computed in single precision, as by the trainer. Raises ``ValueError`` as
    ``global_sdr`` does.
    """
    return match_type(_compare(reference, estimate, sample_rate)[0], reference, estimate)


def fullness(reference: Signals, estimate: Signals, sample_rate: int = 44_100) -> Number:
    """Return the fullness score ``(…)`` of signals ``(…, C, T)``: 0 to 100, higher is better.

    As ``bleedless``, for what the estimate lacks where it is quieter.
    """
    return match_type(_compare(reference, estimate, sample_rate)[1], reference, estimate)


def _compare(reference: Signals, estimate: Signals, sample_rate: int) -> tuple[Tensor, Tensor]:
    truth, guess = check_pair(reference, estimate)
    scores = BleedlessFullness(sample_rate)
    for take in (scores.find_peaks, scores.compare):
        for block in blocks(truth, guess):
            take(*block)
    return scores.result()


class L1Freq:
    """``l1_freq`` of blocks ``(…, C, T)`` in bounded memory."""

    def __init__(self) -> None:
        self._frames = CentredFrames(L1_TRANSFORM, L1_HOP)
        self._sum: Tensor | float = 0.0
        self._values = 0  # of an item

    def add(self, reference: Tensor, estimate: Tensor) -> None:
        """Take the next block."""
        self._consume(self._frames.add(torch.stack([reference, estimate])))

    def result(self) -> Tensor:
        """Return the score ``(…)`` of all blocks; nothing can be added later."""
        self._consume(self._frames.end())
        return to_score(torch.as_tensor(self._sum / self._values))

    def _consume(self, frames: Tensor) -> None:
        if not frames.shape[-2]:
            return
        truth, guess = magnitudes(frames)
        self._sum = self._sum + (truth - guess).abs().sum((-3, -2, -1), dtype=torch.float64)
        self._values += truth.shape[-3:].numel()


class BleedlessFullness:
    """``bleedless`` and ``fullness`` of blocks ``(…, C, T)``, read twice, in bounded memory.

    ``find_peaks`` takes the whole song first, since levels are relative to its peaks; ``compare``
    then takes it again.
    """

    def __init__(self, sample_rate: int) -> None:
        self._mel = MelFilters(sample_rate, TRANSFORM, MEL_BANDS)
        self._window = torch.hann_window(TRANSFORM)
        self._frames = CentredFrames(TRANSFORM, HOP, reflect=False)
        self._peaks: Tensor | None = None  # (2, …): loudest bands of references and estimates, dB
        self._comparing = False
        self._excess: Tensor | float = 0.0  # (2, …): sums of dB above the reference, and below it
        self._bands: Tensor | float = 0  # (2, …): that are above it, and below it

    def find_peaks(self, reference: Tensor, estimate: Tensor) -> None:
        """Take the next block of the first pass."""
        self._each(self._frames.add(torch.stack([reference, estimate])), self._raise_peaks)

    def compare(self, reference: Tensor, estimate: Tensor) -> None:
        """Take the next block of the second pass."""
        if not self._comparing:
            self._each(self._frames.end(), self._raise_peaks)
            self._frames = CentredFrames(TRANSFORM, HOP, reflect=False)
            self._comparing = True
        self._each(self._frames.add(torch.stack([reference, estimate])), self._add_excess)

    def result(self) -> tuple[Tensor, Tensor]:
        """Return both scores, each ``(…)``; nothing can be added later."""
        self._each(self._frames.end(), self._add_excess)
        bands = torch.as_tensor(self._bands)
        excess, lack = torch.as_tensor(self._excess) / bands.clamp(min=1)
        return 100 / (1 + excess), 100 / (1 + lack)

    def _each(self, frames: Tensor, take: Callable[[Tensor], None]) -> None:
        """Call ``take`` with the mel bands ``(2, …, N, M)`` of each channel of ``frames``."""
        if not frames.shape[-2]:
            return
        # Channel by channel, so that intermediate results fit into the cache of the processor.
        for channel in frames.unbind(-3):
            take(self._mel(magnitudes(channel.float() * self._window)))

    def _raise_peaks(self, bands: Tensor) -> None:
        found = _levels(bands.amax((-2, -1)))
        self._peaks = found if self._peaks is None else torch.maximum(self._peaks, found)

    def _add_excess(self, bands: Tensor) -> None:
        assert self._peaks is not None, "compare follows find_peaks"
        truth, guess = torch.maximum(_levels(bands), self._peaks[..., None, None] - RANGE)
        difference = guess - truth
        signed = torch.stack([difference, -difference]).clamp(min=0)
        self._excess = self._excess + signed.sum((-2, -1), dtype=torch.float64)
        self._bands = self._bands + (signed > 0).sum((-2, -1))


def _levels(bands: Tensor) -> Tensor:
    """Return the levels of magnitudes, dB."""
    return 20 / math.log(10) * logarithms(bands.clamp(min=QUIETEST))
