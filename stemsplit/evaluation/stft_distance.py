"""The multi-resolution STFT distance, over blocks of any length."""

from __future__ import annotations

import torch
from torch import Tensor

from stemsplit.evaluation.metrics import Number
from stemsplit.evaluation.waves import Waves, answer, blocks, pair

#: Transform, hop and window in samples: R. Yamamoto, E. Song and J.-M. Kim, "Parallel WaveGAN",
#: ICASSP 2020, table 1, in the order of its reference program.
RESOLUTIONS = ((1_024, 120, 600), (2_048, 240, 1_200), (512, 50, 240))
FLOOR = 1e-8  # of a bin's power, before root and logarithm


def mrstft(reference: Waves, estimate: Waves) -> Number:
    """Return the multi-resolution STFT distance ``(…)`` of waves ``(…, C, T)``; lower is better.

    At each of three resolutions ``‖|S| − |Ŝ|‖ / ‖|S|‖`` plus the mean of ``|log|S| − log|Ŝ||``,
    norms over all channels, bins and frames; then their mean (Yamamoto et al., "Parallel WaveGAN",
    ICASSP 2020; the same as `auraloss` of each item by itself). 0 for a perfect copy. Power below
    1e-8 counts as 1e-8, so silence has finite distances. Raises as ``global_sdr`` does.
    """
    truth, guess = pair(reference, estimate)
    distance = StftDistance()
    for block in blocks(truth, guess):
        distance.add(*block)
    return answer(distance.result(), reference, estimate)


class StftDistance:
    """``mrstft`` of blocks ``(…, C, T)``, float64, in bounded memory."""

    def __init__(self) -> None:
        self._resolutions = [_Resolution(*resolution) for resolution in RESOLUTIONS]

    def add(self, reference: Tensor, estimate: Tensor) -> None:
        """Take the next block."""
        for resolution in self._resolutions:
            resolution.add(torch.stack([reference, estimate]))

    def result(self) -> Tensor:
        """Return the distance ``(…)`` of all blocks; nothing can be added later."""
        return torch.stack([resolution.result() for resolution in self._resolutions]).mean(0)


class _Resolution:
    """One resolution's sums. Frames are centred on multiples of the hop, as with reflected ends."""

    def __init__(self, transform: int, hop: int, window: int) -> None:
        self.transform, self.hop, self.window = transform, hop, window
        self._pending: Tensor | None = None
        self._started = False
        self._sums: Tensor | float = 0.0  # (3, …): of |S|², of (|S| − |Ŝ|)², of the logarithms
        self._values = 0

    def add(self, waves: Tensor) -> None:
        """Take a block ``(2, …, C, T)``."""
        pending = waves if self._pending is None else torch.cat([self._pending, waves], -1)
        half = self.transform // 2
        if not self._started and pending.shape[-1] > half:
            pending = torch.cat([pending[..., 1 : half + 1].flip(-1), pending], -1)
            self._started = True
        self._pending = self._consume(pending) if self._started else pending

    def result(self) -> Tensor:
        assert self._pending is not None, "nothing was added"
        half = self.transform // 2
        if not self._started:  # too short to be reflected: as if silence came after it
            self.add(self._pending.new_zeros(*self._pending.shape[:-1], half + 1))
        end = self._pending[..., -half - 1 : -1].flip(-1)
        self._consume(torch.cat([self._pending, end], -1))
        energy, difference, logarithms = torch.as_tensor(self._sums)
        distance: Tensor = (difference / energy).sqrt() + logarithms / self._values
        return distance

    def _consume(self, waves: Tensor) -> Tensor:
        """Add the frames that are complete in ``waves``; return what later ones need."""
        frames = (waves.shape[-1] - self.transform) // self.hop + 1
        if frames < 1:
            return waves
        flat = waves[..., : (frames - 1) * self.hop + self.transform]
        spectrum = torch.stft(
            flat.reshape(-1, flat.shape[-1]),
            self.transform,
            self.hop,
            self.window,
            torch.hann_window(self.window, dtype=waves.dtype, device=waves.device),
            center=False,
            return_complex=True,
        )
        magnitude = (spectrum.real.square() + spectrum.imag.square()).clamp(min=FLOOR).sqrt()
        truth, guess = magnitude.reshape(*waves.shape[:-1], -1)
        parts = (truth.square(), (truth - guess).square(), (truth.log() - guess.log()).abs())
        self._sums = self._sums + torch.stack([part.sum((-2, -1)) for part in parts])
        self._values += truth.shape[-1] * truth.shape[-2]
        return waves[..., frames * self.hop :]
