"""Compute correlations of channels at short lags, block by block."""

from __future__ import annotations

import torch
from torch import Tensor


class Correlations:
    """Sums ``Σ a[t − k]·b[t]`` for lags ``k`` from 0 to ``lags − 1``, in float64.

    ``a`` is any of the first ``delayed`` of ``channels`` channels, ``b`` any of them. Samples
    before the first and after the last block are zero.
    """

    def __init__(self, delayed: int, channels: int, lags: int) -> None:
        self.delayed = delayed
        self.lags = lags
        self._transform = 4 * lags  # fits in the cache of a core, so faster than longer ones
        self._block = self._transform - (lags - 1)
        self._pending = torch.zeros(channels, lags - 1, dtype=torch.float64)
        bins = self._transform // 2 + 1
        self._spectrum = torch.zeros(delayed, channels, bins, dtype=torch.complex128)

    def add(self, signals: Tensor) -> None:
        """Add the next samples of all channels, ``(channels, T)`` for any ``T``, float64."""
        self._pending = torch.cat([self._pending, signals], -1)
        self._consume((self._pending.shape[-1] - (self.lags - 1)) // self._block)

    def result(self) -> Tensor:
        """Return the sums ``(lags, delayed, channels)``; nothing can be added afterwards."""
        rest = self._pending.shape[-1] - (self.lags - 1)
        if rest > 0:
            self._pending = torch.nn.functional.pad(self._pending, (0, self._block - rest))
            self._consume(1)
        circular: Tensor = torch.fft.irfft(self._spectrum, self._transform)
        return circular[..., : self.lags].flip(-1).movedim(-1, 0)

    def _consume(self, blocks: int) -> None:
        """Add ``blocks`` blocks of the pending samples to the sums."""
        history = self.lags - 1
        for start in range(0, blocks * self._block, self._block):
            piece = self._pending[:, start : start + self._transform]
            now = torch.fft.rfft(piece[:, history:], self._transform)
            past = torch.fft.rfft(piece[: self.delayed])
            self._spectrum.addcmul_(past[:, None], now.conj()[None])
        self._pending = self._pending[:, blocks * self._block :].clone()


def correlate(signals: Tensor, delayed: int, lags: int) -> Tensor:
    """Return the sums of ``Correlations`` for whole ``signals`` ``(channels, T)``."""
    correlations = Correlations(delayed, signals.shape[0], lags)
    correlations.add(signals)
    return correlations.result()


def correlate_across(before: Tensor, after: Tensor) -> Tensor:
    """Return the sums ``(L, delayed, channels)`` of products across the boundary of two pieces.

    ``after`` ``(channels, T)`` directly follows ``before`` ``(delayed, L − 1)``.
    """
    lags = before.shape[-1] + 1
    # At lag k, sample k − j from the end of ``before`` is multiplied by sample j of ``after``.
    past = torch.fft.rfft(before, 2 * lags)
    now = torch.fft.rfft(after[:, : lags - 1], 2 * lags)
    circular: Tensor = torch.fft.irfft(past[:, None] * now.conj(), 2 * lags)
    return torch.nn.functional.pad(circular[..., : lags - 1].flip(-1), (1, 0)).movedim(-1, 0)
