"""Filter blocks of any length by impulse responses, through spectra of one length."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class FirFilter:
    """Filters blocks ``(…, T)``, with silence before and after the signal."""

    def __init__(self, taps: NDArray[np.float64], size: int) -> None:
        """``size`` is the length of a transform, of which all but the taps are new samples."""
        self._size, self._history = size, len(taps) - 1
        self._hop = size - self._history
        self._response = torch.fft.rfft(torch.from_numpy(taps), size)
        self._pending: Tensor | None = None

    def add(self, block: Tensor) -> Tensor:
        """Return the filtered samples ``(…, n)`` that ``block`` completes: multiples of a hop."""
        if self._pending is None:
            self._pending = block.new_zeros(*block.shape[:-1], self._history)
        pending = torch.cat([self._pending, block], -1)
        pieces = max(0, (pending.shape[-1] - self._history) // self._hop)
        # A copy, so that a small remainder does not keep a large block in memory.
        self._pending = pending[..., pieces * self._hop :].clone()
        if not pieces:
            return pending[..., :0]
        spectra = torch.fft.rfft(pending.unfold(-1, self._size, self._hop))
        response = self._response.to(spectra)
        filtered: Tensor = torch.fft.irfft(spectra * response, self._size)[..., self._history :]
        return filtered.flatten(-2)

    def end(self, ringing: int) -> Tensor:
        """Return the samples that remain, and ``ringing`` of them after the end of the signal."""
        assert self._pending is not None, "nothing was added"
        remain = self._pending.shape[-1] - self._history + ringing
        missing = -remain % self._hop
        silence = self._pending.new_zeros(*self._pending.shape[:-1], ringing + missing)
        return self.add(silence)[..., :remain]
