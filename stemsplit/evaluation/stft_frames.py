"""Cut blocks of any length into the frames of a short-time Fourier transform."""

from __future__ import annotations

import torch
from torch import Tensor


class CentredFrames:
    """Frames of ``length`` samples, centred on multiples of ``hop``, as in ``torch.stft``.

    The signal is padded by half a frame at both ends: with its own samples mirrored, or with
    silence if not ``reflect``. Silence is first appended to a signal too short to be mirrored.
    """

    def __init__(self, length: int, hop: int, *, reflect: bool = True) -> None:
        self.length, self.hop = length, hop
        self._reflect = reflect
        self._pending: Tensor | None = None
        self._last: Tensor | None = None  # samples at the end of the signal so far, to be mirrored
        self._started = False

    def add(self, block: Tensor) -> Tensor:
        """Return the frames ``(…, N, length)`` that ``block`` ``(…, T)`` completes, a view."""
        pending = block if self._pending is None else torch.cat([self._pending, block], -1)
        half = self.length // 2
        if not self._started and (pending.shape[-1] > half or not self._reflect):
            pending = torch.cat([self._border(pending[..., 1 : half + 1]), pending], -1)
            self._started = True
        if self._started:
            return self._cut(pending)
        self._pending = pending
        return pending.new_zeros(*pending.shape[:-1], 0, self.length)

    def end(self) -> Tensor:
        """Return the frames that remain; nothing can be added later."""
        assert self._pending is not None, "nothing was added"
        if self._started:
            return self._end()
        silence = self._pending.new_zeros(*self._pending.shape[:-1], self.length // 2 + 1)
        return torch.cat([self.add(silence), self._end()], -2)

    def _end(self) -> Tensor:
        assert self._pending is not None and self._last is not None
        return self._cut(torch.cat([self._pending, self._border(self._last[..., :-1])], -1))

    def _border(self, inside: Tensor) -> Tensor:
        """Return the padding for an end of the signal; ``inside`` are the samples next to it."""
        if self._reflect:
            return inside.flip(-1)
        return inside.new_zeros(*inside.shape[:-1], self.length // 2)

    def _cut(self, signals: Tensor) -> Tensor:
        self._last = signals[..., -(self.length // 2) - 1 :]
        frames = max(0, (signals.shape[-1] - self.length) // self.hop + 1)
        self._pending = signals[..., frames * self.hop :]
        if not frames:
            return signals.new_zeros(*signals.shape[:-1], 0, self.length)
        return signals.unfold(-1, self.length, self.hop)
