"""Hybrid Transformer Demucs: a spectrogram and a waveform U-Net, joined by a cross transformer.

Rouard, Massa, Défossez 2023, "Hybrid Transformers for Music Source Separation", arXiv:2211.08553.
The names of the weights are those of the published checkpoints, so that these load unchanged.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from stemsplit.models.base import SeparationModel
from stemsplit.models.config import (
    CheckedConfig,
    Count,
    FFTLength,
    Rate,
    Segment,
    Sources,
    at_least,
)
from stemsplit.models.demucs_layers import EPSILON, FrequencyEmbedding, standardise, unstandardise
from stemsplit.models.layers import (
    DConv,
    DecoderLayer,
    EncoderLayer,
    LayerScale,
    rescale_convolutions,
)
from stemsplit.models.operators import attention, feed_forward, linear
from stemsplit.models.spectrograms import ComplexAsChannels

# What all published HTDemucs models have in common (955717e8, f7e0c4bc and its three companions,
# 5c90dfd2).
KERNEL_SIZE = 8
STRIDE = 4
GROWTH = 2
DCONV_DEPTH = 2
DCONV_COMPRESSION = 8
DCONV_INIT = 1e-3
RESCALE = 0.1
HIDDEN_SCALE = 4  # width of the feed-forward part over the width of the transformer
LAYER_SCALE_INIT = 1e-4
MAX_PERIOD = 10_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HTDemucsConfig(CheckedConfig):
    """Configuration of an HTDemucs. Defaults are those of the published ``htdemucs`` (955717e8)."""

    sources: Sources = ("drums", "bass", "other", "vocals")
    sample_rate: Rate = 44_100  # Hz
    audio_channels: Count = 2
    segment: Segment = 343_980  # samples: 39/5 s, on which it was trained
    #: Channels of the first encoder layer; each further layer has twice as many.
    channels: Annotated[int, at_least(DCONV_COMPRESSION)] = 48
    depth: Count = 4  # layers of each encoder and decoder
    nfft: FFTLength = 4096  # samples of the STFT window; the hop is a quarter
    bottom_channels: int = 512  # width of the transformer; 0 (htdemucs_6s): that of the last layer
    t_layers: Count = 5  # even ones attend to their own branch, odd ones to the other
    t_heads: Count = 8
    #: Residual branches in the encoder 1, in the decoder 2, in both 3, in neither 0. Demucs' own
    #: constructor defaults to 1, which no published model uses.
    dconv_mode: Literal[0, 1, 2, 3] = 3

    def validate(self) -> None:
        """Raise ``ValueError`` for values that are incompatible with each other."""
        # The last encoder layer must have more rows to convolve than its kernel is long.
        if self.rows * STRIDE <= KERNEL_SIZE or self.nfft % (2 * STRIDE**self.depth):
            raise ValueError(f"an nfft of {self.nfft} does not divide into {self.depth} layers")
        if self.width % 4 or self.width % self.t_heads:
            raise ValueError(f"a width of {self.width} does not divide into {self.t_heads} heads")

    @property
    def width(self) -> int:
        """Channels inside the transformer."""
        return self.bottom_channels or self.deepest_channels

    @property
    def deepest_channels(self) -> int:
        """Channels after the last encoder layer."""
        return self.channels * int(GROWTH ** (self.depth - 1))

    @property
    def rows(self) -> int:
        """Rows of frequency after the last encoder layer."""
        return self.nfft // 2 // int(STRIDE**self.depth)


class HTDemucs(SeparationModel):
    """Waveform to waveform through a frequency and a time branch, whose outputs are added."""

    Config = HTDemucsConfig
    standardised = True
    fixed_segment = True

    def __init__(self, config: HTDemucsConfig) -> None:
        super().__init__(config, channels=config.audio_channels)

        self.spectrogram = ComplexAsChannels(config.nfft)
        self.encoder, self.decoder = _build_branch(config, frequency=True)
        self.tencoder, self.tdecoder = _build_branch(config, frequency=False)
        self.freq_emb = FrequencyEmbedding(config.nfft // 2 // STRIDE, config.channels)
        rescale_convolutions(self, RESCALE)

        # Not rescaled: these and the transformer keep torch's initial weights.
        if config.bottom_channels:
            outside, inside = config.deepest_channels, config.bottom_channels
            self.channel_upsampler = nn.Conv1d(outside, inside, 1)
            self.channel_downsampler = nn.Conv1d(inside, outside, 1)
            self.channel_upsampler_t = nn.Conv1d(outside, inside, 1)
            self.channel_downsampler_t = nn.Conv1d(inside, outside, 1)
        self.crosstransformer = CrossTransformer(config.width, config.t_heads, config.t_layers)

    def forward(self, mix: Tensor) -> Tensor:
        """Return the sources ``(B, S, C, T)`` of ``mix`` ``(B, C, T)``; T at most ``segment``.

        A shorter mix is padded with zeros at the end, because the network was trained on this
        length only. Raises ``ValueError`` for a longer one.
        """
        samples = mix.shape[-1]
        if samples > self.segment:
            raise ValueError(f"{samples} samples are more than the segment of {self.segment}")
        wave = functional.pad(mix.float(), (0, self.segment - samples))
        spectrum, spectrum_mean, spectrum_std = standardise(self.spectrogram(wave))
        wave, wave_mean, wave_std = standardise(wave)

        spectrum, wave = self._separate(spectrum, wave)

        # Sources are in the channel axis of both: in the spectrogram with 2 C channels each.
        spectrum = unstandardise(spectrum, spectrum_mean, spectrum_std)
        wave = unstandardise(wave, wave_mean, wave_std)
        wave = wave + self.spectrogram.inverse(spectrum, self.segment)
        shape = (-1, len(self.sources), self.channels, self.segment)
        return wave.view(shape)[..., :samples]

    def _separate(self, x: Tensor, xt: Tensor) -> tuple[Tensor, Tensor]:
        """Return S times the channels of ``x`` ``(B, 2 C, F, N)`` and of ``xt`` ``(B, C, T)``."""
        skips: list[tuple[Tensor, Tensor]] = []
        lengths: list[tuple[int, int]] = []
        for encode, encode_t in zip(self.encoder, self.tencoder, strict=True):
            lengths.append((x.shape[-1], xt.shape[-1]))
            x, xt = encode(x), encode_t(xt)
            if not skips:
                x = self.freq_emb(x)
            skips.append((x, xt))

        x, xt = self._exchange(x, xt)

        for decode, decode_t in zip(self.decoder, self.tdecoder, strict=True):
            skip, skip_t = skips.pop()
            length, length_t = lengths.pop()
            x, xt = decode(x, skip, length), decode_t(xt, skip_t, length_t)
        return x, xt

    def _exchange(self, x: Tensor, xt: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``x`` ``(B, C, F, N)`` and ``xt`` ``(B, C, N')`` after the transformer."""
        batch, _, rows, frames = x.shape
        # The tokens of a frame are consecutive: time outside, frequency inside.
        tokens = x.permute(0, 3, 2, 1).flatten(1, 2)
        tokens_t = xt.transpose(1, 2)
        bottleneck = self._config.bottom_channels > 0
        if bottleneck:
            tokens = convolve_tokens(self.channel_upsampler, tokens)
            tokens_t = convolve_tokens(self.channel_upsampler_t, tokens_t)
        tokens, tokens_t = self.crosstransformer(tokens, tokens_t, rows)
        if bottleneck:
            tokens = convolve_tokens(self.channel_downsampler, tokens)
            tokens_t = convolve_tokens(self.channel_downsampler_t, tokens_t)
        grid = tokens.view(batch, frames, rows, -1)
        return grid.permute(0, 3, 2, 1), tokens_t.transpose(1, 2)


def _build_branch(
    config: HTDemucsConfig, *, frequency: bool
) -> tuple[nn.ModuleList, nn.ModuleList]:
    """Return the encoder, outermost layer first, and the decoder, innermost first, of a branch."""
    # In the spectrogram, each channel is a real and an imaginary part.
    outermost = config.audio_channels * (2 if frequency else 1)
    encoder, decoder = nn.ModuleList(), nn.ModuleList()
    for index in range(config.depth):
        channels = config.channels * GROWTH**index
        above = channels // GROWTH

        encoder.append(
            EncoderLayer(
                above if index else outermost,
                channels,
                kernel_size=KERNEL_SIZE,
                stride=STRIDE,
                frequency=frequency,
                dconv=_branches(config, channels, encoder=True),
            )
        )
        decoder.insert(
            0,
            DecoderLayer(
                channels,
                above if index else outermost * len(config.sources),
                kernel_size=KERNEL_SIZE,
                stride=STRIDE,
                frequency=frequency,
                last=index == 0,
                dconv=_branches(config, channels, encoder=False),
            ),
        )
    return encoder, decoder


def _branches(config: HTDemucsConfig, channels: int, *, encoder: bool) -> nn.Module:
    if not config.dconv_mode & (1 if encoder else 2):
        return nn.Identity()
    return DConv(channels, depth=DCONV_DEPTH, compression=DCONV_COMPRESSION, init=DCONV_INIT)


def convolve_tokens(convolution: nn.Conv1d, tokens: Tensor) -> Tensor:
    """Return ``(B, N, C')``: a 1x1 ``convolution`` of ``tokens`` ``(B, N, C)``."""
    return linear(tokens, convolution.weight.squeeze(-1), convolution.bias)


class CrossTransformer(nn.Module):
    """Layers in which both branches alternately attend to themselves and to each other."""

    def __init__(self, width: int, heads: int, layers: int) -> None:
        super().__init__()
        self.norm_in = nn.LayerNorm(width)
        self.norm_in_t = nn.LayerNorm(width)
        self.layers = _build_layers(width, heads, layers)
        self.layers_t = _build_layers(width, heads, layers)

    def forward(self, x: Tensor, xt: Tensor, rows: int) -> tuple[Tensor, Tensor]:
        """Return ``x`` ``(B, N F, C)`` and ``xt`` ``(B, N', C)``, same shapes; F = ``rows``."""
        width = x.shape[-1]
        x = self.norm_in(x) + embed_grid(x.shape[1] // rows, rows, width, x.device)
        xt = self.norm_in_t(xt) + embed_positions(xt.shape[1], width, xt.device)
        for layer, layer_t in zip(self.layers, self.layers_t, strict=True):
            if isinstance(layer, CrossAttentionLayer):
                x, xt = layer(x, xt), layer_t(xt, x)
            else:
                x, xt = layer(x), layer_t(xt)
        return x, xt


def _build_layers(width: int, heads: int, layers: int) -> nn.ModuleList:
    kinds = (SelfAttentionLayer, CrossAttentionLayer)
    return nn.ModuleList(kinds[index % 2](width, heads) for index in range(layers))


# Computed in fp32 in the same steps as for the published weights: at phases of 1,000 rad and more,
# the rounding of a better formula would change the output (at less than 90 dB below it).
@lru_cache(maxsize=4)
@torch.inference_mode(False)
def embed_positions(tokens: int, width: int, device: torch.device) -> Tensor:
    """Return the sinusoidal embedding ``(tokens, width)`` of a line: cosines, then sines."""
    half = width // 2
    position = torch.arange(tokens, device=device)[:, None]
    exponent = torch.arange(half, device=device) / (half - 1)
    phase = position / MAX_PERIOD**exponent
    return torch.cat([phase.cos(), phase.sin()], dim=1)


@lru_cache(maxsize=4)
@torch.inference_mode(False)
def embed_grid(frames: int, rows: int, width: int, device: torch.device) -> Tensor:
    """Return the embedding ``(frames * rows, width)`` of a grid, rows inside.

    The first half of the width is for the frame, the second for the row; sines and cosines
    alternate in each.
    """
    half = width // 2
    rate = torch.exp(torch.arange(0, half, 2, device=device) * -(math.log(MAX_PERIOD) / half))

    def waves(count: int) -> Tensor:
        phase = torch.arange(count, device=device)[:, None] * rate
        return torch.stack([phase.sin(), phase.cos()], dim=2).flatten(1)

    by_frame = waves(frames)[:, None].expand(frames, rows, half)
    by_row = waves(rows).expand(frames, rows, half)
    return torch.cat([by_frame, by_row], dim=2).flatten(0, 1)


class Attention(nn.Module):
    """Multi-head attention, all tokens to all, with weights stored as in torch's own."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        """Return ``(B, N, C)``: ``x`` attending to ``other`` ``(B, N', C)``, or to itself."""
        weight, bias, width = self.in_proj_weight, self.in_proj_bias, x.shape[-1]
        if other is None:
            query, key, value = self._split(linear(x, weight, bias), 3)
        else:
            (query,) = self._split(linear(x, weight[:width], bias[:width]), 1)
            outside = linear(other, weight[width:], bias[width:])
            key, value = self._split(outside, 2)
        y = attention(query, key, value).transpose(1, 2).flatten(2)
        return linear(y, self.out_proj.weight, self.out_proj.bias)

    def _split(self, x: Tensor, parts: int) -> tuple[Tensor, ...]:
        """Return ``parts`` tensors ``(B, heads, N, D)`` of ``x`` ``(B, N, parts * heads * D)``."""
        batch, tokens, _ = x.shape
        return tuple(x.view(batch, tokens, parts, self.heads, -1).permute(2, 0, 3, 1, 4))


class TokenGroupNorm(nn.Module):
    """GroupNorm of one group over all tokens and channels of an item, in fp32."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(B, N, C)`` for ``x`` ``(B, N, C)``."""
        # In steps, because ``torch.var_mean`` takes ten times as long on a CPU, and a fused norm
        # processes a whole item in one block of a GPU.
        centred = x.float() - x.mean((1, 2), keepdim=True, dtype=torch.float32)
        variance = centred.square().mean((1, 2), keepdim=True)
        return torch.addcmul(self.bias, centred, self.weight * (variance + EPSILON).rsqrt())


class _TransformerLayer(nn.Module):
    """What both kinds of layer share: the feed-forward part and the final norm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(width, HIDDEN_SCALE * width)
        self.linear2 = nn.Linear(HIDDEN_SCALE * width, width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.norm_out = TokenGroupNorm(width)
        self.gamma_1 = LayerScale(width, LAYER_SCALE_INIT, channels_last=True)
        self.gamma_2 = LayerScale(width, LAYER_SCALE_INIT, channels_last=True)

    def close(self, x: Tensor, normalised: Tensor) -> Tensor:
        """Return the layer's output ``(B, N, C)``: ``x`` after attention, and its norm."""
        branch = feed_forward(normalised, self.linear1, self.linear2)
        output: Tensor = self.norm_out(self.gamma_2(x, branch))
        return output


class SelfAttentionLayer(_TransformerLayer):
    """A pre-norm transformer layer whose tokens attend to one another."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__(width)
        self.self_attn = Attention(width, heads)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(B, N, C)`` for ``x`` ``(B, N, C)``."""
        x = self.gamma_1(x, self.self_attn(self.norm1(x)))
        return self.close(x, self.norm2(x))


class CrossAttentionLayer(_TransformerLayer):
    """A pre-norm transformer layer whose tokens attend to those of the other branch."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__(width)
        self.cross_attn = Attention(width, heads)
        self.norm3 = nn.LayerNorm(width)

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        """Return ``(B, N, C)`` for ``x`` ``(B, N, C)`` and ``other`` ``(B, N', C)``."""
        x = self.gamma_1(x, self.cross_attn(self.norm1(x), self.norm2(other)))
        return self.close(x, self.norm3(x))
