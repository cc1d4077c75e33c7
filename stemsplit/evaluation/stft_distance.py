"""The multi-resolution STFT distance of blocks of any length."""

from __future__ import annotations

import torch
from torch import Tensor

from stemsplit.evaluation.metrics import Number
from stemsplit.evaluation.shapes import Signals, blocks, check_pair, match_type

#: Transform, hop and window in samples: R. Yamamoto, E. Song and J.-M. Kim, "Parallel WaveGAN",
#: ICASSP 2020, table 1, in the order of its reference program.
RESOLUTIONS = ((1_024, 120, 600), (2_048, 240, 1_200), (512, 50, 240))
FLOOR = 1e-8  # of a bin's power, before root and logarithm


def mrstft(reference: Signals, estimate: Signals) -> Number:
    """Return the multi-resolution STFT distance ``(…)`` of signals ``(…, C, T)``; lower is better.

    At each of three resolutions ``‖|S| − |Ŝ|‖ / ‖|S|‖`` plus the mean of ``|log|S| − log|Ŝ||``,
    norms over all channels, bins and frames; then their mean (Yamamoto et al., "Parallel WaveGAN",
    ICASSP 2020; the same as `auraloss` of each item by itself). 0 for a perfect copy. Power below
    1e-8 counts as 1e-8, so that distances to silence are finite. Raises ``ValueError`` as
    ``global_sdr`` does.
    """
    truth, guess = check_pair(reference, estimate)
    distance = StftDistance()
    for block in blocks(truth, guess):
        distance.add(*block)
    return match_type(distance.result(), reference, estimate)


class StftDistance:
    """``mrstft`` of blocks ``(…, C, T)``, in their precision, in bounded memory.

    Blocks of float32 take a quarter of the time of float64; the results differ by less than 1e-5.
    """

    def __init__(self) -> None:
        self._resolutions = [_Resolution(*resolution) for resolution in RESOLUTIONS]

    def add(self, reference: Tensor, estimate: Tensor) -> None:
        """Take the next block."""
        signals = torch.stack([reference, estimate])
        for resolution in self._resolutions:
            resolution.add(signals)

    def result(self) -> Tensor:
        """Return the distance ``(…)`` of all blocks; nothing can be added later."""
        return torch.stack([resolution.result() for resolution in self._resolutions]).mean(0)


class _Resolution:
    """The sums at one resolution; frames are centred on multiples of the hop, ends reflected."""

    def __init__(self, transform: int, hop: int, window: int) -> None:
        self.transform, self.hop = transform, hop
        # The position of a window in its frame does not change magnitudes: the samples inside the
        # window are enough.
        margin = (transform - window) // 2
        self._inside = slice(margin, margin + window)
        self._window = torch.hann_window(window, dtype=torch.float64)
        self._pending: Tensor | None = None
        self._started = False
        self._sums: Tensor | float = 0.0  # (3, …, C): of |S|², (|S| − |Ŝ|)², 2 |log|S| − log|Ŝ||
        self._values = 0  # of a channel

    def add(self, signals: Tensor) -> None:
        """Take a block ``(2, …, C, T)``."""
        pending = signals if self._pending is None else torch.cat([self._pending, signals], -1)
        half = self.transform // 2
        if not self._started and pending.shape[-1] > half:
            pending = torch.cat([pending[..., 1 : half + 1].flip(-1), pending], -1)
            self._started = True
        self._pending = self._consume(pending) if self._started else pending

    def result(self) -> Tensor:
        assert self._pending is not None, "nothing was added"
        half = self.transform // 2
        if not self._started:  # too short to be reflected: silence follows
            self.add(self._pending.new_zeros(*self._pending.shape[:-1], half + 1))
        end = self._pending[..., -half - 1 : -1].flip(-1)
        self._consume(torch.cat([self._pending, end], -1))
        sums = torch.as_tensor(self._sums)
        energy, difference, logarithms = sums.sum(-1)
        distance: Tensor = (difference / energy).sqrt() + logarithms / (
            2 * self._values * sums.shape[-1]
        )
        return distance

    def _consume(self, signals: Tensor) -> Tensor:
        """Add the complete frames of ``signals``; return the samples that later ones need."""
        frames = (signals.shape[-1] - self.transform) // self.hop + 1
        if frames < 1:
            return signals
        # Channel by channel, so that intermediate results fit into the cache of the processor.
        pairs = signals.flatten(1, -2).unbind(1)
        sums = torch.stack([self._compare(pair) for pair in pairs], -1)
        self._sums = self._sums + sums.view(len(sums), *signals.shape[1:-1])
        self._values += frames * (self.transform // 2 + 1)
        return signals[..., frames * self.hop :]

    def _compare(self, pair: Tensor) -> Tensor:
        """Return the sums ``(3,)`` of the frames in a ``pair`` ``(2, T)``, float64."""
        frames = pair.unfold(-1, self.transform, self.hop)[..., self._inside]
        spectrum = torch.fft.rfft(frames * self._window.to(pair), self.transform)
        truth, guess = (spectrum.real.square() + spectrum.imag.square()).clamp(min=FLOOR)
        difference = (truth.sqrt() - guess.sqrt()).square()
        logarithms = (truth / guess).log().abs()
        return torch.stack([part.sum() for part in (truth, difference, logarithms)]).double()
