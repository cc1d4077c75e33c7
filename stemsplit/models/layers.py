"""Layers of the Demucs family.

Axes: ``B`` batch, ``C`` channels, ``T`` samples, ``F`` frequency bins or rows, ``N`` frames.
Tensors are ``(B, C, F, N)`` in a frequency branch, ``(B, C, N)`` in a time branch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional

from stemsplit.models.branches import add_branch, is_long
from stemsplit.models.pieces import (
    LARGE_PIECE,
    convolve,
    cut,
    gelu,
    join,
    map_rows,
    pad_to_multiple,
    spans,
    upsample,
    upsamples,
)


class LayerScale(nn.Module):
    """A learnt factor per channel on a residual branch, near zero at first.

    Source: Touvron et al. 2021, "Going deeper with Image Transformers".
    """

    def __init__(self, channels: int, init: float, *, channels_last: bool = False) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((channels,), init))
        self.channels_last = channels_last

    def forward(self, residual: Tensor, branch: Tensor) -> Tensor:
        """Return ``residual + scale * branch`` ``(B, C, N)``, or ``(B, N, C)`` channels last."""
        scale = self.scale if self.channels_last else self.scale[:, None]
        return torch.addcmul(residual, scale, branch)


class DConv(nn.Module):
    """Residual branches of dilated convolutions over time, with few channels.

    Branch ``d`` is: convolution (kernel 3, dilation 2^d) to ``channels / compression``, GroupNorm
    of one group, GELU, 1x1 convolution to twice the channels, GroupNorm, GLU, LayerScale. The
    modules that ``inside`` returns for a number of channels follow the GELU.
    Source: Défossez 2021, as above.
    """

    def __init__(
        self,
        channels: int,
        *,
        depth: int,
        compression: int,
        init: float,
        inside: Callable[[int], Sequence[nn.Module]] = lambda _: (),
    ) -> None:
        super().__init__()
        hidden = channels // compression
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(channels, hidden, 3, dilation=2**d, padding=2**d),
                nn.GroupNorm(1, hidden),
                nn.GELU(),
                *inside(hidden),
                nn.Conv1d(hidden, 2 * channels, 1),
                nn.GroupNorm(1, 2 * channels),
                nn.GLU(dim=1),
                LayerScale(channels, init),
            )
            for d in range(depth)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(B, C, N)`` for ``x`` ``(B, C, N)``."""
        for layer in self.layers:
            *inside, convolution, norm, glu, scale = layer.children()
            y = x
            for module in inside:
                y = module(y)
            if is_long(x):
                assert isinstance(convolution, nn.Conv1d) and isinstance(norm, nn.GroupNorm)
                x = add_branch(x, y, convolution, norm, scale.get_parameter("scale"))
            else:
                x = scale(x, glu(norm(convolution(y))))
        return x


class EncoderLayer(nn.Module):
    """One step down: strided convolution, GELU, DConv, 1x1 convolution, GLU.

    In the frequency branch the convolution runs over the rows, DConv over the frames of each row;
    in the time branch both run over time. With ``norm_groups``, both convolutions are normalised;
    in the frequency branch only if one row is left, because rows are normalised separately.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: int,
        stride: int,
        frequency: bool,
        dconv: nn.Module,
        padding: int | None = None,  # None: enough for an output of 1 / stride of the input
        norm_groups: int = 0,
    ) -> None:
        super().__init__()
        self.stride = stride
        self.frequency = frequency
        padding = kernel_size // 4 if padding is None else padding
        self.conv: nn.Conv1d | nn.Conv2d
        self.rewrite: nn.Conv1d | nn.Conv2d
        if frequency:
            self.conv = nn.Conv2d(
                in_channels, out_channels, (kernel_size, 1), (stride, 1), (padding, 0)
            )
            self.rewrite = nn.Conv2d(out_channels, 2 * out_channels, 1)
        else:
            self.conv = nn.Conv1d(in_channels, out_channels, kernel_size, stride, padding)
            self.rewrite = nn.Conv1d(out_channels, 2 * out_channels, 1)
        self.norm1 = _group_norm(norm_groups, out_channels)
        self.norm2 = _group_norm(norm_groups, 2 * out_channels)
        self.dconv = dconv

    def forward(self, x: Tensor, joining: Tensor | None = None) -> Tensor:
        """Return ``(B, C', F / stride, N)`` for ``x`` ``(B, C, F, N)``, in the frequency branch.

        In the time branch ``(B, C', N')`` of ``(B, C, N)``; N' = ceil(N / stride), zeros fill it up
        at the right. ``joining``, shaped as the output, is added to the strided convolution.
        """
        if not self.frequency:
            x = pad_to_multiple(x, self.stride)
        y = self.conv(x) if joining is None else self.conv(x) + joining
        return map_rows(self._refine, y) if self.frequency else self._refine(y)

    def _refine(self, y: Tensor) -> Tensor:
        """Return ``(B, C, N)`` for ``y`` ``(B, C, N)``, the output of the strided convolution."""
        y = self.dconv(gelu(self.norm1(y)))
        weight = self.rewrite.weight.flatten(1)[..., None]
        if not isinstance(self.norm2, nn.Identity):
            return functional.glu(self.norm2(convolve(y, weight, self.rewrite.bias)), dim=1)
        pieces = (
            functional.glu(convolve(y[..., start:end], weight, self.rewrite.bias), dim=1)
            for start, end in spans(y, LARGE_PIECE)
        )
        return join(pieces, y.shape[2])


def _group_norm(groups: int, channels: int) -> nn.Module:
    return nn.GroupNorm(groups, channels) if groups else nn.Identity()


class DecoderLayer(nn.Module):
    """One step up: convolution of width 3, GLU, DConv, strided transposed convolution, GELU.

    The last layer of a network has no GELU. ``norm_groups`` as in :class:`EncoderLayer`; without
    ``row_context``, the first convolution processes one row of frequency at a time.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: int,
        stride: int,
        frequency: bool,
        last: bool,
        dconv: nn.Module,
        padding: int | None = None,
        norm_groups: int = 0,
        row_context: bool = True,
    ) -> None:
        super().__init__()
        self.stride = stride
        self.frequency = frequency
        self.last = last
        self.padding = kernel_size // 4 if padding is None else padding
        self.conv_tr: nn.ConvTranspose1d | nn.ConvTranspose2d
        self.rewrite: nn.Conv1d | nn.Conv2d
        # The ends of the output are trimmed after the norm, which includes them, so that it is
        # exactly ``stride`` times as long as the input.
        if frequency:
            self.conv_tr = nn.ConvTranspose2d(
                in_channels, out_channels, (kernel_size, 1), (stride, 1)
            )
            rows = 1 if row_context else 0
            self.rewrite = nn.Conv2d(
                in_channels, 2 * in_channels, (1 + 2 * rows, 3), padding=(0, 1)
            )
        else:
            self.conv_tr = nn.ConvTranspose1d(in_channels, out_channels, kernel_size, stride)
            self.rewrite = nn.Conv1d(in_channels, 2 * in_channels, 3)
        self.norm1 = _group_norm(norm_groups, 2 * in_channels)
        self.norm2 = _group_norm(norm_groups, out_channels)
        self.dconv = dconv

    def forward(self, x: Tensor, skip: Tensor, length: int) -> Tensor:
        """Return ``(B, C', F * stride, N)`` for ``x`` ``(B, C, F, N)``, in the frequency branch.

        In the time branch ``(B, C', length)`` of ``(B, C, N)``. ``skip`` has the shape of ``x`` and
        is added to it; ``length`` is that of the encoder's input over time.
        """
        return self._expand(self._combined(x, skip), x, length)

    def combine(self, x: Tensor, skip: Tensor) -> Tensor:
        """Return the input of the transposed convolution, with the shape of ``x`` and ``skip``."""
        return join(self._combined(x, skip), x.shape[2])

    def expand(self, y: Tensor, length: int) -> Tensor:
        """Return the output of :meth:`forward` for ``y``, the result of :meth:`combine`."""
        return self._expand(iter([y]), y, length)

    def _combined(self, x: Tensor, skip: Tensor) -> Iterator[Tensor]:
        """Yield what :meth:`combine` returns, in pieces."""
        pieces = self._rewritten(x, skip)
        if isinstance(self.dconv, nn.Identity):
            return pieces
        if self.frequency:
            return (self._add_branches(piece) for piece in pieces)
        return iter([self._add_branches(join(pieces, x.shape[2]))])

    def _add_branches(self, y: Tensor) -> Tensor:
        """Return ``y`` with its residual branches, in fp32 if `_rewritten` returned that."""
        exact = self.last and y.dtype == torch.float32
        with torch.autocast(y.device.type, enabled=False) if exact else nullcontext():
            refined: Tensor = map_rows(self.dconv, y) if self.frequency else self.dconv(y)
            return refined

    def _rewritten(self, x: Tensor, skip: Tensor) -> Iterator[Tensor]:
        """Yield the first convolution of ``x`` and ``skip`` after its GLU, in pieces."""
        length, weight, padding = x.shape[2], self.rewrite.weight, self.rewrite.padding
        context = weight.shape[2] // 2
        if length == 1:  # all around it are zeros
            weight, context = weight[:, :, context : context + 1], 0
        convolution = functional.conv2d if self.frequency else functional.conv1d
        pieces = spans(x, LARGE_PIECE)
        if not isinstance(self.norm1, nn.Identity):
            pieces = iter([(0, length)])
        for start, end in pieces:
            reach = (start - context, end + context)
            y = cut(x, *reach) + cut(skip, *reach)
            y = self.norm1(convolution(y, weight, self.rewrite.bias, padding=padding))
            # Rounding in the last layer alone would limit a network in bf16 to 34 dB.
            y = y.float() if self.last and y.dtype == torch.bfloat16 else y
            yield functional.glu(y, dim=1)

    def _expand(self, pieces: Iterator[Tensor], x: Tensor, length: int) -> Tensor:
        """Return the output of :meth:`forward` for ``pieces`` of :meth:`combine` for ``x``."""
        weight, bias = self.conv_tr.weight, self.conv_tr.bias
        if isinstance(self.norm2, nn.Identity) and upsamples(x, weight, self.stride):
            expanded = upsample(pieces, weight, bias, self.stride)
        else:
            expanded = iter([self.norm2(self.conv_tr(join(pieces, x.shape[2])))])
        if self.frequency:
            length = self.stride * (x.shape[2] - 1) + weight.shape[2] - 2 * self.padding
        trimmed = (
            piece if index else piece[:, :, self.padding :] for index, piece in enumerate(expanded)
        )
        return join(trimmed if self.last else (gelu(piece) for piece in trimmed), length)


def rescale_convolutions(module: nn.Module, reference: float, *, outputs: bool = False) -> None:
    """Move the deviation s of every convolution's weight towards ``reference``, in place.

    Weight and bias are divided by sqrt(s / reference), so that layers of very different widths
    start at a similar scale. With ``outputs`` the output is multiplied by the same factor, so that
    the network computes the same as before and only learns at a different rate; the factor is saved
    with the weights, as ``output_scale``. Source: Défossez et al. 2019, "Music Source Separation in
    the Waveform Domain" (hal-02379796), which multiplies the output; its released code does not.
    """
    kinds = (nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d, nn.ConvTranspose2d)
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, kinds):
                weight = layer.weight
                if weight.is_meta:  # weights are about to be loaded, and the factor with them
                    scale = weight.new_empty(())
                else:
                    scale = (weight.std() / reference).sqrt()
                weight.div_(scale)
                if layer.bias is not None:
                    layer.bias.div_(scale)
                if outputs:
                    layer.register_buffer("output_scale", scale)
                    layer.register_forward_hook(_scale_output)


def _scale_output(layer: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    return output * layer.get_buffer("output_scale")
