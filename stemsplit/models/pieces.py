"""Convolutions of long inputs in pieces, which stay in the processor's cache.

What lies between two layers then never goes through memory as a whole. Only without gradients and
on a CPU; otherwise the only piece is the whole input.

Axes: ``B`` batch, ``C`` channels, ``L`` the axis that is cut (rows of frequency, or frames of a
time branch), and maybe one more that is not cut, ``N`` frames of the rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

#: Values of the input in one piece: 1 MiB of fp32, which fits into a core's L2 cache, for what
#: mostly moves memory; and 16 MiB for what computes longer, which cutting slows down.
SMALL_PIECE = 256 * 1024
LARGE_PIECE = 4 * 1024 * 1024
#: Frames from which on a pointwise convolution is faster in another library.
LONG = 3000


def cuts(x: Tensor) -> bool:
    """Return whether inputs like ``x`` are cut into pieces."""
    return x.device.type == "cpu" and not torch.is_grad_enabled()


def spans(
    x: Tensor, values: int, *, length: int | None = None, channels: int | None = None
) -> Iterator[tuple[int, int]]:
    """Yield start and end along L of pieces of ``x`` ``(B, C, L, ...)`` with about ``values``.

    Or of an L of another ``length``, with other ``channels``.
    """
    length, channels = length or x.shape[2], channels or x.shape[1]
    size = max(1, values // (len(x) * channels * math.prod(x.shape[3:]))) if cuts(x) else length
    for start in range(0, length, size):
        yield start, min(start + size, length)


def cut(x: Tensor, start: int, end: int) -> Tensor:
    """Return ``(B, C, end - start, ...)`` of ``x`` ``(B, C, L, ...)``; zeros are outside of it."""
    length = x.shape[2]
    piece = x[:, :, max(start, 0) : end]
    if start >= 0 and end <= length:
        return piece
    return functional.pad(piece, (0, 0) * (x.dim() - 3) + (max(-start, 0), max(end - length, 0)))


def pad_to_multiple(x: Tensor, stride: int) -> Tensor:
    """Return ``x`` ``(..., N)`` with zeros at its end, so that ``stride`` divides N."""
    missing = -x.shape[-1] % stride
    return functional.pad(x, (0, missing)) if missing else x


def join(pieces: Iterable[Tensor], length: int) -> Tensor:
    """Return ``(B, C, length, ...)``: the ``pieces`` one after the other, the last one cut off."""
    result: Tensor | None = None
    end = 0
    for piece in pieces:
        start, end = end, min(end + piece.shape[2], length)
        if result is None:
            if piece.shape[2] >= length:
                return piece[:, :, :length]
            batch, channels, _, *rest = piece.shape
            result = piece.new_empty(batch, channels, length, *rest)
        result[:, :, start:end] = piece[:, :, : end - start]
    assert result is not None and end == length
    return result


def map_rows(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return ``(B, C', F, N)``: ``function`` (``(b, C, N) -> (b, C', N)``) of each row of ``x``.

    ``x`` is ``(B, C, F, N)``; each of its B * F rows is an item of its own.
    """
    batch, channels, rows, frames = x.shape
    if not cuts(x):
        y = function(x.transpose(1, 2).reshape(-1, channels, frames))
        return y.view(batch, rows, -1, frames).transpose(1, 2)
    block = max(1, SMALL_PIECE // (channels * frames))
    result: Tensor | None = None
    for item in range(batch):
        for start in range(0, rows, block):
            part = function(x[item, :, start : start + block].transpose(0, 1).contiguous())
            if result is None:
                result = part.new_empty(batch, part.shape[1], rows, frames)
            result[item, :, start : start + block] = part.transpose(0, 1)
    assert result is not None
    return result


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return the convolution over L of ``x`` ``(B, C, L)``, or ``(B, C, L, N)``, not padded."""
    if x.dim() == 4:
        return functional.conv2d(x, weight, bias)
    # On one thread, torch leaves pointwise convolutions to a library that is slower than its other
    # one for long inputs, unless they are dilated, which changes nothing for a kernel of 1.
    dilation = 2 if weight.shape[2] == 1 and x.shape[2] >= LONG and cuts(x) else 1
    return functional.conv1d(x, weight, bias, dilation=dilation)


class PointwiseConv1d(nn.Conv1d):
    """A convolution of width 1, computed by `convolve`."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(B, C', L)`` for ``x`` ``(B, C, L)``."""
        return convolve(x, self.weight, self.bias)


def gelu(x: Tensor) -> Tensor:
    """Return the GELU of ``x``, in its place if inputs are cut: nothing else may need ``x``."""
    if cuts(x):
        result: Tensor = torch.ops.aten.gelu_(x)
        return result
    return functional.gelu(x)


def upsamples(x: Tensor, weight: Tensor, stride: int) -> bool:
    """Return whether :func:`upsample` can replace a transposed convolution, and is faster."""
    inputs, _, kernel_size, *_ = weight.shape
    # Else rearranging the weights takes longer than it saves.
    many = math.prod(x.shape[2:]) >= 2 * inputs
    return cuts(x) and kernel_size == 2 * stride and many


def upsample(
    pieces: Iterable[Tensor], weight: Tensor, bias: Tensor | None, stride: int
) -> Iterator[Tensor]:
    """Yield the transposed convolution of ``pieces`` ``(B, C, l, ...)``: ``(B, C', l', ...)``.

    ``weight`` ``(C, C', 2 stride, ...)`` is two positions of the input wide. So each phase of the
    output is a convolution of width 2 of its own, and all phases are computed as the channels of
    one, which is faster than what torch does. The output is ``stride`` longer than the input times
    ``stride``. Source: Shi et al. 2016, "Real-Time Single Image and Video Super-Resolution Using an
    Efficient Sub-Pixel Convolutional Neural Network".
    """
    outputs = weight.shape[1]
    split = weight.reshape(*weight.shape[:2], 2, stride, *weight.shape[3:])
    phases = split.flip(2).movedim(3, 0)  # (stride, C, C', 2, ...)
    kernel = phases.transpose(1, 2).flatten(0, 1)
    biases = None if bias is None else bias.repeat(stride)
    before: Tensor | None = None  # the last position of the piece before

    def expand(piece: Tensor) -> Tensor:
        y = convolve(piece, kernel, biases)
        return y.view(len(y), stride, outputs, *y.shape[2:]).movedim(1, 3).flatten(2, 3)

    for piece in pieces:
        for start, end in spans(piece, SMALL_PIECE):
            part = piece[:, :, start:end]
            before = torch.zeros_like(part[:, :, :1]) if before is None else before
            yield expand(torch.cat([before, part], dim=2))
            before = part[:, :, -1:]
    if before is not None:
        yield expand(torch.cat([before, torch.zeros_like(before)], dim=2))
