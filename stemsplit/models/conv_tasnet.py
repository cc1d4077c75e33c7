"""Conv-TasNet: dilated convolutions that mask a learnt basis of short, overlapping filters.

Luo, Mesgarani 2019, "Conv-TasNet: Surpassing Ideal Time-Frequency Magnitude Masking for Speech
Separation", arXiv:1809.07454. `ConvTasNet` is the stereo network for music of Défossez et al. 2019,
"Music Source Separation in the Waveform Domain", arXiv:1911.13254; `SpeechConvTasNet` is the
paper's own, as implemented in torchaudio. They differ in norms, biases and skips, and the names of
their weights are those of the published checkpoints.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from stemsplit.models.base import SeparationModel
from stemsplit.models.config import CheckedConfig, Count, Even, Odd, Rate, Segment, Sources
from stemsplit.models.pieces import pad_to_multiple

EPSILON = 1e-8  # of every norm, inside its square root
Mask = Literal["relu", "sigmoid"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvTasNetConfig(CheckedConfig):
    """Configuration of a Conv-TasNet for music. The defaults are the published checkpoints'."""

    sources: Sources = ("drums", "bass", "other", "vocals")
    sample_rate: Rate = 44_100  # Hz
    audio_channels: Count = 2
    segment: Segment = 352_800  # samples: 8 s
    filters: Count = 256  # N
    filter_length: Even = 20  # L, samples; the stride is half of it
    bottleneck: Count = 256  # B, channels
    hidden: Count = 512  # H, channels inside a block
    kernel: Odd = 3  # P
    blocks: Count = 10  # X in each repeat; dilations 1, 2, 4, ...
    repeats: Count = 4  # R
    mask: Mask = "relu"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechConvTasNetConfig(CheckedConfig):
    """Configuration of a Conv-TasNet for speech. The defaults are the best values of the paper."""

    sources: Sources = ("speaker1", "speaker2")
    sample_rate: Rate = 8_000  # Hz
    segment: Segment = 240_000  # samples: 30 s, so that speakers rarely swap places at a seam
    filters: Count = 512  # N
    filter_length: Even = 16  # L, samples; the stride is half of it
    bottleneck: Count = 128  # B, channels
    hidden: Count = 512  # H, channels inside a block
    skip: Count = 128  # Sc, channels of the skip path
    kernel: Odd = 3  # P
    blocks: Count = 8  # X in each repeat; dilations 1, 2, 4, ...
    repeats: Count = 3  # R
    mask: Mask = "sigmoid"
    causal: bool = False  # True: no filter and no norm depends on later samples


def _activate(scores: Tensor, mask: Mask) -> Tensor:
    return scores.relu() if mask == "relu" else scores.sigmoid()


# --- Music ---------------------------------------------------------------------------------------


class ChannelNorm(nn.Module):
    """The norm cLN: each frame over its channels; a gain and an offset per channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(1, channels, 1))
        self.beta = nn.Parameter(torch.zeros(1, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(B, C, N)`` fp32 for ``x`` ``(B, C, N)``."""
        gamma, beta = self.gamma.flatten(), self.beta.flatten()
        columns = x.float().transpose(1, 2)
        return functional.layer_norm(columns, gamma.shape, gamma, beta, EPSILON).transpose(1, 2)


class GlobalNorm(ChannelNorm):
    """The norm gLN: all channels and frames of an item together; gain and offset as above."""

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(B, C, N)`` fp32 for ``x`` ``(B, C, N)``."""
        gamma, beta = self.gamma.flatten(), self.beta.flatten()
        return functional.group_norm(x.float(), 1, gamma, beta, EPSILON)


class Encoder(nn.Module):
    """The learnt basis: one strided convolution, ReLU."""

    def __init__(self, config: ConvTasNetConfig) -> None:
        super().__init__()
        length = config.filter_length
        self.conv1d_U = nn.Conv1d(
            config.audio_channels, config.filters, length, length // 2, bias=False
        )

    def forward(self, mix: Tensor) -> Tensor:
        """Return the weights of the basis ``(B, filters, N)`` of ``mix`` ``(B, C, T)``."""
        weights: Tensor = self.conv1d_U(mix)
        return weights.relu()


class DepthwiseSeparable(nn.Module):
    """Dilated convolution of each channel, PReLU, gLN, 1x1 convolution."""

    def __init__(self, config: ConvTasNetConfig, dilation: int) -> None:
        super().__init__()
        hidden, padding = config.hidden, (config.kernel - 1) // 2 * dilation
        self.net = nn.Sequential(
            nn.Conv1d(
                hidden,
                hidden,
                config.kernel,
                padding=padding,
                dilation=dilation,
                groups=hidden,
                bias=False,
            ),
            nn.PReLU(),
            GlobalNorm(hidden),
            nn.Conv1d(hidden, config.bottleneck, 1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(B, bottleneck, N)`` for ``x`` ``(B, hidden, N)``."""
        y: Tensor = self.net(x)
        return y


class TemporalBlock(nn.Module):
    """1x1 convolution, PReLU, gLN and a dilated convolution in a wide space, added to the input."""

    def __init__(self, config: ConvTasNetConfig, dilation: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv1d(config.bottleneck, config.hidden, 1, bias=False),
            nn.PReLU(),
            GlobalNorm(config.hidden),
            DepthwiseSeparable(config, dilation),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(B, bottleneck, N)``, ``x`` and what the block adds to it."""
        y: Tensor = x + self.net(x)
        return y


class TemporalConvNet(nn.Module):
    """Computes masks from the weights of the basis: cLN, bottleneck, blocks, 1x1 convolution.

    Its output is that of the last block; skip connections are not used.
    """

    def __init__(self, config: ConvTasNetConfig) -> None:
        super().__init__()
        masks = len(config.sources) * config.filters
        dilations = [2**index for index in range(config.blocks)]
        repeats = (
            nn.Sequential(*(TemporalBlock(config, dilation) for dilation in dilations))
            for _ in range(config.repeats)
        )
        self.network = nn.Sequential(
            ChannelNorm(config.filters),
            nn.Conv1d(config.filters, config.bottleneck, 1, bias=False),
            nn.Sequential(*repeats),
            nn.Conv1d(config.bottleneck, masks, 1, bias=False),
        )

    def forward(self, weights: Tensor) -> Tensor:
        """Return ``(B, S * filters, N)`` for ``(B, filters, N)``, from which masks are made."""
        scores: Tensor = self.network(weights)
        return scores


class Decoder(nn.Module):
    """Turns weights of the basis back into a wave: overlapping frames, each a sum of signals."""

    def __init__(self, config: ConvTasNetConfig) -> None:
        super().__init__()
        self.channels = config.audio_channels
        self.stride = config.filter_length // 2
        self.basis_signals = nn.Linear(
            config.filters, config.audio_channels * config.filter_length, bias=False
        )

    def forward(self, weights: Tensor) -> Tensor:
        """Return ``(B, C, T)`` for ``weights`` ``(B, filters, N)``; T = (N + 1) * stride."""
        signals = self.basis_signals.weight.t().reshape(-1, self.channels, 2 * self.stride)
        return functional.conv_transpose1d(weights, signals, stride=self.stride)


class ConvTasNet(SeparationModel):
    """Conv-TasNet for music: both channels share a basis and its masks. Any T."""

    Config = ConvTasNetConfig
    standardised = True
    any_length = True

    def __init__(self, config: ConvTasNetConfig) -> None:
        super().__init__(config, channels=config.audio_channels)
        self.filter_length = config.filter_length
        self.mask = config.mask

        self.encoder = Encoder(config)
        self.separator = TemporalConvNet(config)
        self.decoder = Decoder(config)
        for module in self.modules():
            if isinstance(module, nn.Conv1d | nn.Linear):
                nn.init.xavier_normal_(module.weight)

    def forward(self, mix: Tensor) -> Tensor:
        """Return the sources ``(B, S, C, T)`` of ``mix`` ``(B, C, T)``; any ``T``.

        Where the stride does not divide T, the samples after the last filter, fewer than a stride,
        are silent, as in the published program; one more frame would change all samples, because of
        the norms over all frames.
        """
        samples = mix.shape[-1]
        x = functional.pad(mix.float(), (0, max(0, self.filter_length - samples)))
        weights = self.encoder(x)
        scores = self.separator(weights).unflatten(1, (len(self.sources), -1))
        masked = _activate(scores, self.mask) * weights[:, None]
        waves: Tensor = self.decoder(masked.flatten(0, 1)).float()
        waves = functional.pad(waves, (0, samples - waves.shape[-1]))
        return waves.view(len(mix), len(self.sources), self.channels, samples)


# --- Speech --------------------------------------------------------------------------------------


class GroupNorm(nn.GroupNorm):
    """The norm gLN under the names of torchaudio's weights."""

    def __init__(self, channels: int) -> None:
        super().__init__(1, channels, eps=EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(B, C, N)`` fp32 for ``x`` ``(B, C, N)``."""
        return super().forward(x.float())


class CumulativeNorm(GroupNorm):
    """The norm of a causal network: all channels, and all frames up to each, together."""

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(B, C, N)`` fp32 for ``x`` ``(B, C, N)``."""
        channels, frames = x.shape[1:]
        values = x.double()  # sums of a whole song
        count = channels * torch.arange(1, frames + 1, device=x.device)
        mean = values.sum(1, keepdim=True).cumsum(-1) / count
        power = values.square().sum(1, keepdim=True).cumsum(-1) / count
        scaled = (values - mean) * ((power - mean.square()).clamp(min=0) + self.eps).rsqrt()
        return scaled.float() * self.weight[:, None] + self.bias[:, None]


class SpeechBlock(nn.Module):
    """A block with two ways out: what it adds to its input, and what it adds to the skip path.

    The last block of a network has the skip only (``last``).
    """

    def __init__(self, config: SpeechConvTasNetConfig, dilation: int, *, last: bool) -> None:
        super().__init__()
        hidden, padding = config.hidden, (config.kernel - 1) // 2 * dilation
        # The input of a causal filter precedes it; its output beyond the end is cut off.
        padding *= 2 if config.causal else 1
        norm = CumulativeNorm if config.causal else GroupNorm
        self.conv_layers = nn.Sequential(
            nn.Conv1d(config.bottleneck, hidden, 1),
            nn.PReLU(),
            norm(hidden),
            nn.Conv1d(
                hidden, hidden, config.kernel, padding=padding, dilation=dilation, groups=hidden
            ),
            nn.PReLU(),
            norm(hidden),
        )
        self.res_out = None if last else nn.Conv1d(hidden, config.bottleneck, 1)
        self.skip_out = nn.Conv1d(hidden, config.skip, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the next block's input ``(B, bottleneck, N)`` and the skip ``(B, skip, N)``."""
        y = self.conv_layers(x)[..., : x.shape[-1]]
        return x if self.res_out is None else x + self.res_out(y), self.skip_out(y)


class MaskGenerator(nn.Module):
    """From the weights of the basis to masks: gLN, bottleneck, blocks, PReLU, 1x1 convolution."""

    def __init__(self, config: SpeechConvTasNetConfig) -> None:
        super().__init__()
        norm = CumulativeNorm if config.causal else GroupNorm
        self.input_norm = norm(config.filters)
        self.input_conv = nn.Conv1d(config.filters, config.bottleneck, 1)
        count = config.repeats * config.blocks
        self.conv_layers = nn.ModuleList(
            SpeechBlock(config, 2 ** (index % config.blocks), last=index == count - 1)
            for index in range(count)
        )
        self.output_prelu = nn.PReLU()
        self.output_conv = nn.Conv1d(config.skip, len(config.sources) * config.filters, 1)

    def forward(self, weights: Tensor) -> Tensor:
        """Return ``(B, S * filters, N)`` for ``(B, filters, N)``, from which masks are made."""
        x: Tensor = self.input_conv(self.input_norm(weights))
        skips: Tensor | None = None
        for block in self.conv_layers:
            x, skip = block(x)
            skips = skip if skips is None else skips + skip
        scores: Tensor = self.output_conv(self.output_prelu(skips))
        return scores


class SpeechConvTasNet(SeparationModel):
    """Conv-TasNet of the paper: mono, a skip path, sigmoid masks, no ReLU in the encoder. Any T."""

    Config = SpeechConvTasNetConfig
    any_length = True

    def __init__(self, config: SpeechConvTasNetConfig) -> None:
        super().__init__(config, channels=1)
        self.mask = config.mask

        length, self.stride = config.filter_length, config.filter_length // 2
        # Padded by a stride at each end, so that every sample is seen by two filters.
        self.encoder = nn.Conv1d(1, config.filters, length, self.stride, self.stride, bias=False)
        self.mask_generator = MaskGenerator(config)
        self.decoder = nn.ConvTranspose1d(
            config.filters, 1, length, self.stride, self.stride, bias=False
        )

    @property
    def reach(self) -> tuple[int, int]:
        """How many frames before and after it a sample of the sources depends on, at most.

        A causal network still has to wait for the end of the last filter over a sample.
        """
        ahead = self._config.filter_length - 1 if self._config.causal else self.segment
        return self.segment, ahead

    def forward(self, mix: Tensor) -> Tensor:
        """Return the sources ``(B, S, 1, T)`` of ``mix`` ``(B, 1, T)``; any ``T``."""
        samples = mix.shape[-1]
        weights = self.encoder(pad_to_multiple(mix.float(), self.stride))
        scores = self.mask_generator(weights).unflatten(1, (len(self.sources), -1))
        masked = _activate(scores, self.mask) * weights[:, None]
        waves: Tensor = self.decoder(masked.flatten(0, 1)).float()
        return waves.view(len(mix), len(self.sources), 1, -1)[..., :samples]
