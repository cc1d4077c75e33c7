"""Hybrid Demucs: a spectrogram and a waveform U-Net, merged where their frames coincide.

Défossez 2021, "Hybrid Spectrogram and Waveform Source Separation", arXiv:2111.03600. The names of
the weights are those of the published checkpoints, so that these load unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from stemsplit.models.base import SeparationModel
from stemsplit.models.config import (
    POWER_OF_2,
    CheckedConfig,
    Count,
    Depth,
    FFTLength,
    Iterations,
    Rate,
    Segment,
    Sources,
    at_least,
    require_groups,
)
from stemsplit.models.demucs_layers import (
    FrequencyEmbedding,
    require_branches,
    residual_branches,
    standardise,
    unstandardise,
)
from stemsplit.models.layers import (
    DecoderLayer,
    EncoderLayer,
    rescale_convolutions,
)
from stemsplit.models.pieces import pad_to_multiple
from stemsplit.models.spectrograms import ComplexAsChannels
from stemsplit.models.wiener import wiener

# What all published Hybrid Demucs have in common.
KERNEL_SIZE = 8
STRIDE = 4
GROWTH = 2
RESCALE = 0.1
DCONV_INIT = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class HDemucsConfig(CheckedConfig):
    """Configuration of a Hybrid Demucs. The defaults are those of its authors' training."""

    sources: Sources = ("drums", "bass", "other", "vocals")
    sample_rate: Rate = 44_100  # Hz
    audio_channels: Count = 2
    segment: Segment = 1_940_400  # samples: 44 s
    channels: Count = 48  # of the first encoder layer; each further layer has twice as many
    channels_time: int = 0  # the same in the time branch; 0: as many as ``channels``
    depth: Depth = 6  # layers of encoder and decoder; those after the merge are shared
    #: Samples of the STFT window; the hop is a quarter.
    nfft: Annotated[FFTLength, at_least(32), POWER_OF_2] = 4096
    time_stride: Count = 2  # of the shared layers after the merge
    #: True: the spectrogram branch processes and outputs real and imaginary parts. False:
    #: magnitudes, with the phase of the mixture.
    cac: bool = True
    #: Wiener filtering of magnitudes: its iterations (0: none), and whether the residual of the
    #: mixture counts as a source.
    wiener_iters: Iterations = 0
    wiener_residual: bool = False
    hybrid_old: bool = False  # some members of ``mdx`` were trained with zeros, not reflections
    #: Where to split the frequency axis (as fractions) into bands with separate weights, in the
    #: outermost ``multi_freqs_depth`` layers.
    multi_freqs: tuple[float, ...] = ()
    multi_freqs_depth: int = 2
    norm_starts: int = 4  # first layer with norms
    norm_groups: int = 4
    #: Residual branches in the encoder 1, in the decoder 2, in both 3, in neither 0.
    dconv_mode: Literal[0, 1, 2, 3] = 1
    dconv_depth: int = 2
    dconv_comp: int = 4  # channels of a layer over those inside its branches
    dconv_attn: int = 4  # first layer with attention in its branches
    dconv_lstm: int = 4  # first layer with an LSTM in its branches

    def validate(self) -> None:
        """Raise ``ValueError`` for values that are incompatible with each other."""
        if self.wiener_iters and self.cac:
            raise ValueError("wiener_iters must be 0 with cac: the filter is for magnitudes")
        if self.depth <= self.meeting:
            raise ValueError(f"branches of nfft {self.nfft} do not meet within {self.depth} layers")
        if self.norm_starts < self.meeting:
            raise ValueError(f"norm_starts must be at least {self.meeting}, not {self.norm_starts}")
        if any(not low < high for low, high in pairwise((0.0, *self.multi_freqs, 1.0))):
            raise ValueError(f"multi_freqs must rise between 0 and 1, not {self.multi_freqs}")
        if self.multi_freqs and not 0 < self.multi_freqs_depth <= self.meeting:
            raise ValueError(f"multi_freqs_depth must be 1 to {self.meeting}")
        for index in range(self.depth):
            self._validate_layer(index)

    def _validate_layer(self, index: int) -> None:
        """Raise ``ValueError`` if channels do not divide into groups, branches or heads."""
        if index >= self.norm_starts:
            for channels in (self.widths(index)[0], *self.widths(index - 1)):
                require_groups(channels, self.norm_groups)
        if self.dconv_mode:
            for channels in self.widths(index):
                require_branches(self, index, channels)

    def norm_groups_of(self, index: int) -> int:
        """Return the number of groups in the norms of layer ``index``; 0 if it has no norms."""
        return self.norm_groups if index >= self.norm_starts else 0

    @property
    def meeting(self) -> int:
        """Index of the layer in which the last rows of frequency become one."""
        index, rows = 0, self.nfft // 2
        while rows > KERNEL_SIZE:
            index, rows = index + 1, rows // STRIDE
        return index

    @property
    def meeting_rows(self) -> int:
        """Rows of frequency in the input of that layer."""
        return self.nfft // 2 // int(STRIDE**self.meeting)

    @property
    def meeting_stride(self) -> int:
        """The stride of that layer in the time branch, which completes the STFT's hop."""
        return self.nfft // 4 // int(STRIDE**self.meeting)

    def widths(self, index: int) -> tuple[int, int]:
        """Return the channels after encoder layer ``index``: frequency branch, time branch."""
        own = self.channels * int(GROWTH**index)
        time = (self.channels_time or self.channels) * int(GROWTH**index)
        return (own, time) if index < self.meeting else (max(own, time), max(own, time))


class HDemucs(SeparationModel):
    """Waveform to waveform through a frequency and a time branch, whose outputs are added.

    The end of a song, or a short song, is not padded, as in the published program: zeros would
    change the mean and the deviation by which both branches are normalised.
    """

    Config = HDemucsConfig
    standardised = True
    any_length = True
    context = 0

    def __init__(self, config: HDemucsConfig) -> None:
        super().__init__(config, channels=config.audio_channels)
        self.complex_as_channels = config.cac
        self.wiener_iters = config.wiener_iters
        self.wiener_residual = config.wiener_residual

        self.spectrogram = ComplexAsChannels(config.nfft, zeros_outside=config.hybrid_old)
        self.encoder, self.tencoder = nn.ModuleList(), nn.ModuleList()
        self.decoder, self.tdecoder = nn.ModuleList(), nn.ModuleList()
        for index in range(config.depth):
            encode, decode = _frequency_layers(config, index)
            self.encoder.append(encode)
            self.decoder.insert(0, decode)
            if index <= config.meeting:
                encode, decode = _time_layers(config, index)
                self.tencoder.append(encode)
                self.tdecoder.insert(0, decode)
        self.freq_emb = FrequencyEmbedding(config.nfft // 2 // STRIDE, config.channels)
        rescale_convolutions(self, RESCALE)

    def forward(self, mix: Tensor) -> Tensor:
        """Return the sources ``(B, S, C, T)`` of ``mix`` ``(B, C, T)``; any ``T``."""
        wave = mix.float()
        spectrum = self.spectrogram.transform(wave)
        image, image_mean, image_std = standardise(self._see(spectrum).to(wave.device))
        wave, wave_mean, wave_std = standardise(wave)

        image, wave = self._separate(image, wave)

        # Sources are in the channel axis of both.
        image = unstandardise(image, image_mean, image_std)
        wave = unstandardise(wave, wave_mean, wave_std)
        wave = wave + self._paint(image, spectrum, mix.shape[-1])
        return wave.view(-1, len(self.sources), self.channels, mix.shape[-1])

    def _see(self, spectrum: Tensor) -> Tensor:
        """Return the input of the frequency branch for ``spectrum``: ``(B, C or 2 C, F, N)``."""
        if self.complex_as_channels:
            return torch.view_as_real(spectrum).permute(0, 1, 4, 2, 3).flatten(1, 2)
        return spectrum.abs()

    def _paint(self, image: Tensor, mixture: Tensor, samples: int) -> Tensor:
        """Return the wave ``(B, S C, T)`` of ``image`` ``(B, S C or 2 S C, F, N)``.

        Magnitudes get the phase of the ``mixture`` ``(B, C, F, N)``, or that of Wiener filtering.
        """
        if self.complex_as_channels:
            return self.spectrogram.inverse(image, samples)
        if self.wiener_iters:
            shape = (len(image), len(self.sources), -1, *image.shape[2:])
            magnitudes = image.view(shape).to(mixture.device)
            separated = wiener(
                magnitudes,
                mixture,
                iterations=self.wiener_iters,
                residual=self.wiener_residual,
            )
            spectrum = separated[:, : len(self.sources)].flatten(1, 2)
            return self.spectrogram.restore(spectrum, samples).to(image.device)
        phase = mixture.angle().repeat(1, len(self.sources), 1, 1)
        spectrum = torch.polar(image.to(phase.device), phase)
        return self.spectrogram.restore(spectrum, samples).to(image.device)

    def _separate(self, x: Tensor, xt: Tensor) -> tuple[Tensor, Tensor]:
        """Return S times the channels of ``x`` ``(B, C', F, N)`` and of ``xt`` ``(B, C, T)``."""
        meeting = len(self.tencoder) - 1
        skips: list[Tensor] = []
        skips_t: list[Tensor] = []
        lengths: list[int] = []
        lengths_t: list[int] = []
        for index, encode in enumerate(self.encoder):
            if index == meeting + 1:
                x = x.squeeze(2)
            joining = None
            lengths.append(x.shape[-1])
            if index <= meeting:
                lengths_t.append(xt.shape[-1])
                xt = self.tencoder[index](xt)
                if index < meeting:
                    skips_t.append(xt)
                else:
                    joining = xt[:, :, None]
            x = encode(x, joining)
            if index == 0:
                x = self.freq_emb(x)
            skips.append(x)

        # The input is zero: everything comes through the skips.
        x = torch.zeros_like(x)
        for decode in self.decoder:
            index = len(skips) - 1
            skip, length = skips.pop(), lengths.pop()
            if index > meeting:
                x = decode(x, skip, length)
            elif index == meeting:
                assert isinstance(decode, DecoderLayer)
                combined = decode.combine(x[:, :, None], skip)
                x = decode.expand(combined, length)
                xt = self.tdecoder[0](combined.squeeze(2), lengths_t.pop())
            else:
                x = decode(x, skip, length)
                xt = self.tdecoder[meeting - index](xt, skips_t.pop(), lengths_t.pop())
        return x, xt


def _frequency_layers(config: HDemucsConfig, index: int) -> tuple[nn.Module, nn.Module]:
    """Return encoder and decoder layer ``index`` of the frequency branch, or after the merge."""
    # In the spectrogram, each channel may be a real and an imaginary part.
    outermost = config.audio_channels * (2 if config.cac else 1)
    channels = config.widths(index)[0]
    above = config.widths(index - 1)[0] if index else outermost
    outputs = above if index else outermost * len(config.sources)
    kernel_size, stride, padding = KERNEL_SIZE, STRIDE, None
    if index == config.meeting:
        kernel_size, padding = config.meeting_rows, 0
    elif index > config.meeting:
        kernel_size, stride = 2 * config.time_stride, config.time_stride
    banded = bool(config.multi_freqs) and index < config.multi_freqs_depth

    def encoder(padding: int | None = padding) -> EncoderLayer:
        return EncoderLayer(
            above,
            channels,
            kernel_size=kernel_size,
            stride=stride,
            frequency=index <= config.meeting,
            dconv=_branches(config, index, channels, encoder=True),
            padding=padding,
            norm_groups=config.norm_groups_of(index),
        )

    def decoder(padding: int | None = padding, last: bool = index == 0) -> DecoderLayer:
        return DecoderLayer(
            channels,
            outputs,
            kernel_size=kernel_size,
            stride=stride,
            frequency=index <= config.meeting,
            last=last,
            dconv=_branches(config, index, channels, encoder=False),
            padding=padding,
            norm_groups=config.norm_groups_of(index),
            row_context=not banded,
        )

    if not banded:
        return encoder(), decoder()
    return (
        BandedEncoder(config.multi_freqs, lambda: encoder(padding=0)),
        BandedDecoder(config.multi_freqs, lambda: decoder(padding=0, last=True), last=index == 0),
    )


def _time_layers(config: HDemucsConfig, index: int) -> tuple[nn.Module, nn.Module]:
    """Return encoder and decoder layer ``index`` of the time branch."""
    channels = config.widths(index)[1]
    above = config.widths(index - 1)[1] if index else config.audio_channels
    outputs = above if index else config.audio_channels * len(config.sources)
    norm_groups = config.norm_groups_of(index)
    if index == config.meeting:
        joining = JoiningLayer(above, channels, config.meeting_stride)
        return joining, PartingLayer(channels, outputs, config.meeting_stride, norm_groups)
    return (
        EncoderLayer(
            above,
            channels,
            kernel_size=KERNEL_SIZE,
            stride=STRIDE,
            frequency=False,
            dconv=_branches(config, index, channels, encoder=True),
        ),
        DecoderLayer(
            channels,
            outputs,
            kernel_size=KERNEL_SIZE,
            stride=STRIDE,
            frequency=False,
            last=index == 0,
            dconv=_branches(config, index, channels, encoder=False),
        ),
    )


def _branches(config: HDemucsConfig, index: int, channels: int, *, encoder: bool) -> nn.Module:
    if not config.dconv_mode & (1 if encoder else 2):
        return nn.Identity()
    return residual_branches(config, index, channels, DCONV_INIT)


class JoiningLayer(nn.Module):
    """The last step down of the time branch: only a convolution to the spectrogram's frames."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv = nn.Conv1d(in_channels, out_channels, 2 * stride, stride, stride // 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(B, C', ceil(N / stride))`` for ``x`` ``(B, C, N)``."""
        output: Tensor = self.conv(pad_to_multiple(x, self.stride))
        return output


class PartingLayer(nn.Module):
    """The first step up of the time branch, from what both branches share."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, norm_groups: int) -> None:
        super().__init__()
        self.trim = stride // 2
        self.conv_tr = nn.ConvTranspose1d(in_channels, out_channels, 2 * stride, stride)
        self.norm2 = nn.GroupNorm(norm_groups, out_channels) if norm_groups else nn.Identity()

    def forward(self, x: Tensor, length: int) -> Tensor:
        """Return ``(B, C', length)`` for ``x`` ``(B, C, N)``."""
        y = self.norm2(self.conv_tr(x))[..., self.trim : self.trim + length]
        return functional.gelu(y)


class BandedEncoder(nn.Module):
    """An encoder layer with separate weights per frequency band, joined seamlessly.

    If the weights of all bands were the same, it would equal the layer without bands.
    """

    def __init__(self, cuts: Sequence[float], build: Callable[[], EncoderLayer]) -> None:
        super().__init__()
        self.cuts = (*cuts, 1.0)
        self.layers = nn.ModuleList(build() for _ in self.cuts)

    def forward(self, x: Tensor, joining: Tensor | None = None) -> Tensor:
        """Return ``(B, C', F / 4, N)`` for ``x`` ``(B, C, F, N)``; nothing is ever ``joining``."""
        edge = KERNEL_SIZE // 4
        padded = functional.pad(x, (0, 0, edge, edge))
        outputs, start, rows = [], 0, x.shape[2]
        for cut, layer in zip(self.cuts, self.layers, strict=True):
            end = rows // STRIDE
            if cut < 1:
                # The last row whose kernel ends before the cut, or next to it.
                reach = round(rows * cut) + edge - KERNEL_SIZE - STRIDE * start
                end = start + round(reach / STRIDE + 1)
            outputs.append(layer(padded[:, :, STRIDE * start : STRIDE * (end - 1) + KERNEL_SIZE]))
            start = end
        return torch.cat(outputs, dim=2)


class BandedDecoder(nn.Module):
    """A decoder layer with separate weights per frequency band; overlapping rows are added."""

    def __init__(
        self, cuts: Sequence[float], build: Callable[[], DecoderLayer], *, last: bool
    ) -> None:
        super().__init__()
        self.cuts = (*cuts, 1.0)
        self.layers = nn.ModuleList(build() for _ in self.cuts)
        self.last = last

    def forward(self, x: Tensor, skip: Tensor, length: int) -> Tensor:
        """Return ``(B, C', 4 F, N)`` for ``x`` and ``skip`` ``(B, C, F, N)``; ``length`` is N."""
        overlap = KERNEL_SIZE - STRIDE
        bounds = [round(x.shape[2] * cut) for cut in (0.0, *self.cuts)]
        pieces: list[Tensor] = []
        for (start, end), layer in zip(pairwise(bounds), self.layers, strict=True):
            y = layer(x[:, :, start:end], skip[:, :, start:end], length)
            if pieces:
                # Both bands added their bias to the rows they share; keep that of the lower one.
                lower, bias = pieces.pop(), layer.get_parameter("conv_tr.bias")[:, None, None]
                shared = lower[:, :, -overlap:] + (y[:, :, :overlap] - bias)
                pieces += [lower[:, :, :-overlap], shared, y[:, :, overlap:]]
            else:
                pieces.append(y)
        y = torch.cat(pieces, dim=2)
        y = y[:, :, overlap // 2 : -(overlap // 2)]
        return y if self.last else functional.gelu(y)
