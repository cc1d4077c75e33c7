"""Wave-U-Net: a U-Net on the waveform that halves the rate by dropping every second sample.

Source: Stoller, Ewert, Dixon 2018, "Wave-U-Net: A Multi-Scale Neural Network for End-to-End Audio
Source Separation", arXiv:1806.03185, and its program f90/Wave-U-Net.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from stemsplit.models.base import SeparationModel
from stemsplit.models.config import CheckedConfig, Count, Rate, Segment, Sources

DOWN_KERNEL = 15
UP_KERNEL = 5
SLOPE = 0.2  # of the LeakyReLU below zero


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveUNetConfig(CheckedConfig):
    """Configuration of a Wave-U-Net. The defaults are those of M4, the paper's best for vocals."""

    sources: Sources = ("accompaniment", "vocals")
    sample_rate: Rate = 22_050  # Hz
    audio_channels: Count = 2
    segment: Segment = 442_368  # samples: 20 s, 108 * 2^12; the program went by 16,384
    levels: Count = 12  # L
    filters: Count = 24  # F; level i has F * i
    #: Whether the last source is the mixture minus the others.
    difference_output: bool = True
    #: Whether convolutions are unpadded, so that the input is longer than the output; `forward`
    #: pads the mixture.
    context: bool = True
    upsampling: Literal["linear", "learned"] = "linear"
    output: Literal["tanh", "linear"] = "tanh"

    def validate(self) -> None:
        """Raise ``ValueError`` for values that are incompatible with each other."""
        if self.difference_output and len(self.sources) < 2:
            raise ValueError("sources must name at least two sources with difference_output")


def padded_length(samples: int, config: WaveUNetConfig) -> tuple[int, int]:
    """Return the input and output length of the convolutions, for at least ``samples`` of output.

    Without context both are the next multiple of 2^levels. With context the output is the smallest
    possible length of at least ``samples``, and the input is what that requires.
    """
    if not config.context:
        length = math.ceil(samples / 2**config.levels) * 2**config.levels
        return length, length
    outputs = samples
    for _ in range(config.levels):
        outputs = math.ceil((outputs + UP_KERNEL) / 2)
    inputs = outputs + DOWN_KERNEL - 1
    for _ in range(config.levels):
        outputs = 2 * outputs - UP_KERNEL
        inputs = 2 * inputs - 1 + DOWN_KERNEL - 1
    return inputs, outputs


class WaveUNet(SeparationModel):
    """Convolutions and decimation down, interpolation and convolutions up. Any T.

    With context a sample depends on three seconds on each side. At the ends of a segment these are
    zeros; segments overlap by twice as much, so that samples with real context have the largest
    weights.
    """

    Config = WaveUNetConfig
    overlap = 0.3
    any_length = True

    def __init__(self, config: WaveUNetConfig) -> None:
        super().__init__(config, channels=config.audio_channels)

        padding = 0 if config.context else 1
        widths = [config.filters * level for level in range(1, config.levels + 2)]

        def convolution(inputs: int, outputs: int, width: int) -> nn.Conv1d:
            return nn.Conv1d(inputs, outputs, width, padding=padding * (width // 2))

        self.down, self.up, self.rise = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        above = config.audio_channels
        for width in widths[:-1]:
            self.down.append(convolution(above, width, DOWN_KERNEL))
            above = width
        self.bottom = convolution(above, widths[-1], DOWN_KERNEL)
        above = widths[-1]
        for width in reversed(widths[:-1]):
            learned = config.upsampling == "learned"
            self.rise.append(Upsampling(above, context=config.context, learned=learned))
            self.up.append(convolution(width + above, width, UP_KERNEL))
            above = width
        estimated = len(config.sources) - (1 if config.difference_output else 0)
        self.outputs = nn.Conv1d(
            config.audio_channels + above, estimated * config.audio_channels, 1
        )

    @property
    def reach(self) -> tuple[int, int]:
        """How many frames before and after it a sample of the sources depends on, at most.

        Going down, a filter sees half of its width to either side, at its level's rate; going up
        it also sees the next sample, which takes part in the interpolation.
        """
        steps = 2**self._config.levels - 1  # of all levels together, in samples
        down = DOWN_KERNEL // 2 * (2 * steps + 1)
        farthest = min(self.segment, down + (UP_KERNEL // 2 + 2) * steps)
        return farthest, farthest

    def forward(self, mix: Tensor) -> Tensor:
        """Return the sources ``(B, S, C, T)`` of ``mix`` ``(B, C, T)``; any ``T``.

        Except in training, the difference is clipped to -1 .. 1, like linear outputs.
        """
        samples = mix.shape[-1]
        mix = mix.float()
        inputs, outputs = padded_length(samples, self._config)
        edge = (inputs - outputs) // 2  # half of what the unpadded convolutions remove
        padded = functional.pad(mix, (edge, inputs - edge - samples))
        estimates = self._estimate(padded)[..., :samples].float()
        if self._config.output == "tanh":
            estimates = estimates.tanh()
        elif not self.training:
            estimates = estimates.clamp(-1, 1)
        stems = estimates.reshape(len(mix), -1, self.channels, samples)
        if self._config.difference_output:
            rest = mix[:, None] - stems.sum(1, keepdim=True)
            stems = torch.cat([stems, rest if self.training else rest.clamp(-1, 1)], dim=1)
        return stems

    def _estimate(self, padded: Tensor) -> Tensor:
        """Return ``(B, S * C, T')`` before the last function, of the padded mixture."""
        x, skips = padded, []
        for convolve in self.down:
            x = functional.leaky_relu(convolve(x), SLOPE)
            skips.append(x)
            x = x[..., ::2]
        x = functional.leaky_relu(self.bottom(x), SLOPE)
        for rise, convolve in zip(self.rise, self.up, strict=True):
            x = rise(x)
            x = functional.leaky_relu(convolve(_beside(skips.pop(), x)), SLOPE)
        estimates: Tensor = self.outputs(_beside(padded, x))
        return estimates


class Upsampling(nn.Module):
    """Doubles the rate: inserts the mean of every two samples, or a learnt mixture, between them.

    The result has 2 N - 1 samples with context; 2 N without, repeating the last one.
    """

    def __init__(self, channels: int, *, context: bool, learned: bool) -> None:
        super().__init__()
        self.context = context
        #: The earlier sample's share per channel, before a sigmoid; initially a half.
        self.share = nn.Parameter(torch.zeros(channels)) if learned else None

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(B, C, 2 N - 1)``, or 2 N without context, of ``x`` ``(B, C, N)``."""
        later = torch.cat([x[..., 1:], x[..., -1:]], dim=-1)
        share = 0.5 if self.share is None else self.share.sigmoid()[:, None]
        between = later + share * (x - later)
        both = torch.stack([x, between], dim=-1).flatten(-2)
        return both[..., :-1] if self.context else both


def _beside(skip: Tensor, x: Tensor) -> Tensor:
    """Return the middle of ``skip``, and ``x`` ``(B, C, N)``, concatenated along the channels."""
    start = (skip.shape[-1] - x.shape[-1]) // 2
    return torch.cat([skip[..., start : start + x.shape[-1]], x], dim=1)
