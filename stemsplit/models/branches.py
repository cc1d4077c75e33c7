"""The end of a residual branch over a long input: convolution of width 1, norm, GLU, scale, sum.

Between these, tensors of twice the channels would go through memory four times. The norm needs the
mean and the deviation of the whole, but both follow from those of the branch's few hidden channels.
So norm and scale become part of the convolution's weights, and everything after them is computed
piece by piece, in the processor's cache.

Axes: ``B`` batch, ``C`` channels, ``H`` hidden channels of the branch, ``N`` frames.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from stemsplit.models.pieces import LONG, cuts

#: Values of the input in one piece: 512 KiB of fp32. The convolution makes twice as many of them.
PIECE = 128 * 1024


def is_long(x: Tensor) -> bool:
    """Return whether `add_branch` can be used for ``x`` ``(B, C, N)``, and is faster."""
    if x.dtype != torch.float32 or not cuts(x) or x.shape[2] < LONG:
        return False
    return not torch.is_autocast_enabled(x.device.type)


def add_branch(
    x: Tensor, hidden: Tensor, convolution: nn.Conv1d, norm: nn.GroupNorm, scale: Tensor
) -> Tensor:
    """Return ``(B, C, N)``: ``x`` plus ``scale`` times the GLU of the norm of the convolution.

    ``convolution`` (of width 1) takes ``hidden`` ``(B, H, N)`` to 2 C channels, ``norm`` has one
    group, ``scale`` is ``(C,)``.
    """
    weight, bias = _normalising(hidden, convolution, norm)
    # Of the two halves that the GLU multiplies, the first is not in the sigmoid.
    weight[:, : len(scale)] *= scale[:, None]
    bias[:, : len(scale)] *= scale[:, None]
    result = torch.empty_like(x)
    size = max(1, PIECE // (x.shape[0] * x.shape[1]))
    for start in range(0, x.shape[2], size):
        piece = slice(start, start + size)
        branch = functional.glu(torch.baddbmm(bias, weight, hidden[..., piece]), dim=1)
        torch.add(x[..., piece], branch, out=result[..., piece])
    return result


def _normalising(
    hidden: Tensor, convolution: nn.Conv1d, norm: nn.GroupNorm
) -> tuple[Tensor, Tensor]:
    """Return weights ``(B, C', H)`` and biases ``(B, C', 1)`` of convolution and norm in one.

    ``hidden`` is ``(B, H, N)``.
    """
    # One after the other, as rounding in products depends on the place of an item in memory.
    weights, biases = zip(
        *(_normalising_one(each, convolution, norm) for each in hidden), strict=True
    )
    return torch.stack(weights), torch.stack(biases)


def _normalising_one(
    hidden: Tensor, convolution: nn.Conv1d, norm: nn.GroupNorm
) -> tuple[Tensor, Tensor]:
    """Return the weight ``(C', H)`` and the bias ``(C', 1)`` for ``hidden`` ``(H, N)``.

    With m and S the mean and the covariance of the hidden channels, an output channel of weights w
    and bias b has mean w m + b and variance w S w.
    """
    weight, bias = convolution.weight.squeeze(2), convolution.bias
    assert bias is not None
    mean = hidden.mean(dim=1, keepdim=True)
    centred = hidden - mean
    covariance = centred @ centred.mT / hidden.shape[1]
    level = weight @ mean + bias[:, None]
    level_of_all = level.mean()
    spread = (weight @ covariance * weight).sum(dim=1, keepdim=True)
    variance = (spread + (level - level_of_all).square()).mean()
    gain = (variance + norm.eps).rsqrt() * norm.weight[:, None]
    return weight * gain, (bias[:, None] - level_of_all) * gain + norm.bias[:, None]
