"""MDX23C: a U-Net of convolutions over time and frequency and of linear layers over frequency.

The network is TFC-TDF v3, which its authors (KUIELab) trained for the Music Demixing challenge of
2023 and the community adopted: M. Kim, J. H. Lee, S. Jung 2023, "Sound Demixing Challenge 2023
Music Demixing Track Technical Report: TFC-TDF-UNet v3", arXiv:2306.09382. All channels of the
spectrogram, real and imaginary parts, are cut into sub-bands, which become channels.

The names of the weights are those of the published checkpoints. In the code, maps are
``(B, C, N, F)``: frequency comes last, as the linear layers need it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from stemsplit.models.base import SeparationModel
from stemsplit.models.config import (
    CheckedConfig,
    Count,
    CountOrZero,
    Rate,
    Segment,
    Sources,
    WindowLength,
    require_hop,
)
from stemsplit.models.operators import Linear
from stemsplit.models.spectrograms import istft, stft
from stemsplit.types import Window

_GROUP_NORM = re.compile(r"GroupNorm([1-9]\d*)")
_ELU = re.compile(r"elu(\d+(\.\d+)?)")


@dataclass(frozen=True, slots=True, kw_only=True)
class MDX23CConfig(CheckedConfig):
    """Configuration of an MDX23C.

    The defaults are those of ``MDX23C-8KFFT-InstVoc_HQ``, except for the names of its sources.
    """

    sources: Sources = ("vocals", "other")
    sample_rate: Rate = 44_100  # Hz
    audio_channels: Count = 2
    segment: Segment = 261_120  # samples: 256 frames
    standardised: bool = False  # the song
    n_fft: WindowLength = 8192  # samples of the STFT window
    hop_length: Count = 1024  # samples
    bins: Count = 4096  # of input and output, from the lowest; the others are silent
    subbands: Count = 4
    scales: CountOrZero = 5  # halvings of the map
    scale: tuple[int, int] = (2, 2)  # by what a scale divides frames and bins
    blocks_per_scale: Count = 2
    channels: Count = 128  # at the widest map
    growth: CountOrZero = 128  # additional channels at each scale
    bottleneck_factor: Count = 4  # width of a map over that of the linear layers' middle
    norm: str = "InstanceNorm"  # or BatchNorm, or GroupNorm and the number of groups
    activation: str = "gelu"  # or relu, or elu and its alpha

    def validate(self) -> None:
        """Raise ``ValueError`` for values that are incompatible with each other."""
        require_hop(self.hop_length, self.n_fft)
        if self.bins > self.n_fft // 2 + 1:
            raise ValueError(f"a window of {self.n_fft} samples has no {self.bins} bins")
        if len(self.scale) != 2 or min(self.scale) < 1:
            raise ValueError(f"scale must be two factors: {self.scale}")
        if self.bins % (self.subbands * self.scale[1] ** self.scales):
            reason = f"{self.subbands} sub-bands of {self.scales} scales"
            raise ValueError(f"{self.bins} bins cannot be cut into {reason}")
        if self.bins // (self.subbands * self.scale[1] ** self.scales) < self.bottleneck_factor:
            raise ValueError(f"a bottleneck_factor of {self.bottleneck_factor} leaves no values")
        _norm(self, self.channels)
        _activation(self)


class MDX23C(SeparationModel):
    """Waveform to waveform through the spectrogram of every source."""

    Config = MDX23CConfig
    #: How the community runs these networks: four segments over every sample, a short fade.
    overlap = 0.75
    window: Window = "fade"

    def __init__(self, config: MDX23CConfig) -> None:
        super().__init__(config, channels=config.audio_channels)
        self.settings = config
        self.standardised = config.standardised
        # Real and imaginary part of each channel, in each sub-band.
        parts = 2 * config.audio_channels * config.subbands
        bins, width = config.bins // config.subbands, config.channels
        self.first_conv = nn.Conv2d(parts, width, 1, bias=False)
        self.encoder_blocks = nn.ModuleList()
        self.decoder_blocks = nn.ModuleList()
        for _ in range(config.scales):
            self.encoder_blocks.append(EncoderBlock(config, width, bins))
            self.decoder_blocks.insert(0, DecoderBlock(config, width, bins))
            width, bins = width + config.growth, bins // config.scale[1]
        self.bottleneck_block = TFCTDFStack(config, width, width, bins)
        self.final_conv = nn.Sequential(
            nn.Conv2d(config.channels + parts, config.channels, 1, bias=False),
            _activation(config),
            nn.Conv2d(config.channels, len(config.sources) * parts, 1, bias=False),
        )

    def forward(self, mix: Tensor) -> Tensor:
        """Return the sources ``(B, S, C, T)`` of ``mix`` ``(B, C, T)``, for any T.

        A mix shorter than a segment is padded with zeros at the end to a whole one, because norms
        over the frames make the result depend on their number.
        """
        samples, hop_length = mix.shape[-1], self.settings.hop_length
        frames = -(max(samples, self.segment) // -hop_length) + 1
        frames -= frames % -(self.settings.scale[0] ** self.settings.scales)
        padded = (frames - 1) * hop_length
        wave = functional.pad(mix.float(), (0, padded - samples))
        spectrum = stft(wave, self.settings.n_fft, hop_length)
        low = spectrum[..., : self.settings.bins, :]
        stems = self._separate(low.contiguous())
        stems = functional.pad(stems, (0, 0, 0, spectrum.shape[-2] - self.settings.bins))
        return istft(stems, self.settings.n_fft, hop_length, padded)[..., :samples]

    def _separate(self, spectrum: Tensor) -> Tensor:
        """Return the complex spectrograms ``(B, S, C, F, N)`` of the sources of ``spectrum``.

        ``spectrum`` is ``(B, C, F, N)``.
        """
        batch, channels, bins, frames = spectrum.shape
        subbands = self.settings.subbands
        # (B, C, sub-bands, F / sub-bands, N, 2) to (B, C * 2 * sub-bands, N, F / sub-bands).
        parts = torch.view_as_real(spectrum.view(batch, channels, subbands, -1, frames))
        mix = parts.permute(0, 1, 5, 2, 4, 3).reshape(batch, -1, frames, bins // subbands)
        # The ends in fp32 regardless of autocast: the spectrogram is not normalised, and its
        # product with a map would overflow in half precision.
        with torch.autocast(mix.device.type, enabled=False):
            first = self.first_conv(mix)
        x = first
        skips = []
        for encode in self.encoder_blocks:
            x, skip = encode(x)
            skips.append(skip)
        x = self.bottleneck_block(x)
        for decode in self.decoder_blocks:
            x = decode(x, skips.pop())
        with torch.autocast(mix.device.type, enabled=False):
            x = self.final_conv(torch.cat([mix, x.float() * first], dim=1))
        stems = x.view(batch, len(self.sources), channels, 2, subbands, frames, -1)
        real, imaginary = stems.transpose(-1, -2).flatten(4, 5).unbind(3)
        return torch.complex(real, imaginary)


class EncoderBlock(nn.Module):
    """Blocks at one scale, and the strided convolution to the next."""

    def __init__(self, config: MDX23CConfig, channels: int, bins: int) -> None:
        super().__init__()
        self.tfc_tdf = TFCTDFStack(config, channels, channels, bins)
        self.downscale = Resampling(config, channels, channels + config.growth, nn.Conv2d)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the map at the next scale and the one at this scale for ``x`` ``(B, C, N, F)``."""
        skip = self.tfc_tdf(x)
        return self.downscale(skip), skip


class DecoderBlock(nn.Module):
    """The transposed convolution from the next scale, and blocks that get the encoder's map too."""

    def __init__(self, config: MDX23CConfig, channels: int, bins: int) -> None:
        super().__init__()
        self.upscale = Resampling(config, channels + config.growth, channels, nn.ConvTranspose2d)
        self.tfc_tdf = TFCTDFStack(config, 2 * channels, channels, bins)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Return the map ``(B, C, N, F)`` at this scale; ``skip`` has the same shape."""
        widened: Tensor = self.tfc_tdf(torch.cat([self.upscale(x), skip], dim=1))
        return widened


class Resampling(nn.Module):
    """Norm, activation, and a convolution from one scale to another, without overlap."""

    def __init__(
        self,
        config: MDX23CConfig,
        channels_in: int,
        channels_out: int,
        kind: type[nn.Conv2d] | type[nn.ConvTranspose2d],
    ) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            *_norm_and_activation(config, channels_in),
            kind(channels_in, channels_out, config.scale, config.scale, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the map at the other scale of ``x`` ``(B, C, N, F)``."""
        resampled: Tensor = self.conv(x)
        return resampled


class TFCTDFStack(nn.Module):
    """The blocks at one scale, of which only the first changes the number of channels."""

    def __init__(self, config: MDX23CConfig, channels_in: int, channels: int, bins: int) -> None:
        super().__init__()
        widths = [channels_in, *[channels] * (config.blocks_per_scale - 1)]
        self.blocks = nn.ModuleList(TFCTDFBlock(config, width, channels, bins) for width in widths)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(B, C', N, F)`` for ``x`` ``(B, C, N, F)``."""
        for block in self.blocks:
            x = block(x)
        return x


class TFCTDFBlock(nn.Module):
    """A convolution, residual linear layers over frequency, a convolution; a shortcut over all.

    In the paper's words, time-frequency convolutions (TFC) and a time-distributed fully-connected
    network (TDF).
    """

    def __init__(self, config: MDX23CConfig, channels_in: int, channels: int, bins: int) -> None:
        super().__init__()
        narrow = bins // config.bottleneck_factor
        self.tfc1 = nn.Sequential(
            *_norm_and_activation(config, channels_in),
            nn.Conv2d(channels_in, channels, 3, padding=1, bias=False),
        )
        self.tdf = nn.Sequential(
            *_norm_and_activation(config, channels),
            Linear(bins, narrow, bias=False),
            *_norm_and_activation(config, channels),
            Linear(narrow, bins, bias=False),
        )
        self.tfc2 = nn.Sequential(
            *_norm_and_activation(config, channels),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
        )
        self.shortcut = nn.Conv2d(channels_in, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(B, C', N, F)`` for ``x`` ``(B, C, N, F)``."""
        y = self.tfc1(x)
        y = self.tfc2(y + self.tdf(y))
        joined: Tensor = y + self.shortcut(x)
        return joined


def _norm_and_activation(config: MDX23CConfig, channels: int) -> tuple[nn.Module, nn.Module]:
    return _norm(config, channels), _activation(config)


def _norm(config: MDX23CConfig, channels: int) -> nn.Module:
    groups = _GROUP_NORM.fullmatch(config.norm)
    if config.norm == "InstanceNorm":
        return nn.InstanceNorm2d(channels, affine=True)
    if config.norm == "BatchNorm":
        return nn.BatchNorm2d(channels)
    if groups and channels % int(groups[1]) == 0:
        return nn.GroupNorm(int(groups[1]), channels)
    raise ValueError(f"norm {config.norm!r} is unknown, or not for {channels} channels")


def _activation(config: MDX23CConfig) -> nn.Module:
    elu = _ELU.fullmatch(config.activation)
    if config.activation == "gelu":
        return nn.GELU()
    if config.activation == "relu":
        return nn.ReLU()
    if elu:
        return nn.ELU(float(elu[1]))
    raise ValueError(f"activation {config.activation!r} is unknown")
