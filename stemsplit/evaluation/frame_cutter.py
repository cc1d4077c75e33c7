"""Cut blocks of any length into frames that may overlap."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor


class FrameCutter:
    """Cuts blocks of any length into frames of ``length`` samples, ``hop`` apart."""

    def __init__(self, length: int, hop: int) -> None:
        self.length, self.hop = length, hop
        self._pending: Tensor | None = None
        self._skip = 0  # samples from what is pending to the next frame

    @property
    def rest(self) -> Tensor:
        """The samples ``(…, T)`` that are in no frame so far."""
        assert self._pending is not None, "no block was added"
        return self._pending[..., self._skip :]

    def cut(self, signals: Tensor) -> Iterator[Tensor]:
        """Yield the frames ``(…, length)`` that a block ``(…, T)`` completes."""
        if self._pending is not None and self._pending.shape[-1]:
            signals = torch.cat([self._pending, signals], -1)
        pending = signals
        while pending.shape[-1] >= self.length + self._skip:
            yield pending[..., self._skip : self._skip + self.length]
            self._skip += self.hop
        passed = min(self._skip, pending.shape[-1])
        self._pending, self._skip = pending[..., passed:].clone(), self._skip - passed
