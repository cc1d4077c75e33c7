"""SCNet: compresses high frequencies to few rows, keeps low ones, and runs dual-path LSTMs.

The spectrogram is compressed by strided convolutions, each band by its own factor; recurrent
networks run over the frequencies of each frame and the frames of each frequency, alternating
between the frames and their Fourier transform; mirrored layers expand the result to the
spectrograms of all sources. W. Tong, J. Zhu, J. Chen, S. Kang, T. Jiang, Y. Li, Z. Wu, H. Meng
2024, "SCNet: Sparse Compression Network for Music Source Separation", arXiv:2401.13276.

The names of the weights are those of the published checkpoints. In the code, ``F`` is the number of
rows at the layer in question, and ``D`` the number of channels in the middle of the network.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn import functional

from stemsplit.models.base import SeparationModel
from stemsplit.models.config import (
    EVEN,
    CheckedConfig,
    Count,
    Odd,
    Rate,
    Segment,
    Sources,
    WindowLength,
    at_least,
    require_hop,
)
from stemsplit.models.operators import Linear
from stemsplit.models.pieces import cuts, map_rows
from stemsplit.models.spectrograms import istft, stft
from stemsplit.types import Window

#: Sequences that go through an LSTM at a time on a CPU without gradients. Its state for each step,
#: eight times the input, would take gigabytes for all of them.
LSTM_SEQUENCES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class SCNetConfig(CheckedConfig):
    """Configuration of an SCNet.

    The defaults are those of the paper's smaller network, ``scnet_checkpoint_musdb18``. "Large" has
    ``dims`` of 64, 128, 256 and other ``band_ratios``; the community's "XL" two more
    ``dual_path_layers``, and its "IHF" a finer grid for the high frequencies.
    """

    sources: Sources = ("drums", "bass", "other", "vocals")
    sample_rate: Rate = 44_100  # Hz
    audio_channels: Count = 2
    segment: Segment = 485_100  # samples: 11 s, as in training
    standardised: bool = False  # the song; as the smaller network was trained
    n_fft: WindowLength = 4096  # samples of the STFT window, which is rectangular
    hop_length: Count = 1024  # samples
    normalized: bool = True  # the STFT, by the square root of n_fft
    dims: tuple[int, ...] = (32, 64, 128)  # channels after each encoder layer; the last is D
    band_ratios: tuple[float, ...] = (0.175, 0.392, 0.433)  # share of the rows, low to high
    band_strides: tuple[int, ...] = (1, 4, 16)  # rows that become one, in each band
    band_kernels: tuple[int, ...] = (3, 4, 16)
    conv_depths: tuple[int, ...] = (3, 2, 1)  # convolution modules of each band
    compression: Count = 4  # of channels, inside the convolution modules
    conv_kernel: Odd = 3  # frames
    #: Every second layer runs on the Fourier transform, so that their number must be even.
    dual_path_layers: Annotated[int, at_least(0), EVEN] = 6
    expansion: Count = 1  # width of an LSTM over its input

    def validate(self) -> None:
        """Raise ``ValueError`` for values that are incompatible with each other."""
        require_hop(self.hop_length, self.n_fft)
        if min(self.dims, default=0) < self.compression:
            raise ValueError(f"dims must be at least compression {self.compression}: {self.dims}")
        self._validate_bands()

    def _validate_bands(self) -> None:
        count = len(self.band_ratios)
        for field in ("band_strides", "band_kernels", "conv_depths"):
            if len(getattr(self, field)) != count:
                raise ValueError(f"{field} must have {count} values, one for each band")
        if abs(sum(self.band_ratios) - 1) > 1e-6:
            raise ValueError(f"band_ratios must sum to 1: {self.band_ratios}")
        for stride, kernel in zip(self.band_strides, self.band_kernels, strict=True):
            if stride < 1 or kernel < 1 or (stride > 1 and kernel != stride):
                raise ValueError(f"no band has a stride of {stride} and a kernel of {kernel}")
        rows = self.bins
        for _ in self.dims:
            rows = sum(band.rows for band in split_bands(self, rows))

    @property
    def bins(self) -> int:
        """Rows of the spectrogram."""
        return self.n_fft // 2 + 1


@dataclass(frozen=True, slots=True)
class Band:
    """A range of rows (``stop`` is the first not in it), compressed by a strided convolution."""

    start: int
    stop: int
    stride: int
    kernel: int

    @property
    def padding(self) -> tuple[int, int]:
        """Rows of zeros below and above, so that the stride divides their number."""
        missing = self.kernel - 1 if self.stride == 1 else (self.start - self.stop) % self.stride
        return missing // 2, missing - missing // 2

    @property
    def rows(self) -> int:
        """The number of rows after compression."""
        return -((self.start - self.stop) // self.stride)


def split_bands(config: SCNetConfig, rows: int) -> list[Band]:
    """Return the bands of ``rows`` rows, low to high.

    Raises ``ValueError`` if a band would be empty.
    """
    shares = list(accumulate(config.band_ratios[:-1]))
    edges = [0, *(math.ceil(rows * share) for share in shares), rows]
    settings = zip(pairwise(edges), config.band_strides, config.band_kernels, strict=True)
    bands = [Band(start, stop, stride, kernel) for (start, stop), stride, kernel in settings]
    if any(band.start >= band.stop for band in bands):
        raise ValueError(f"{rows} rows are too few for the bands {config.band_ratios}")
    return bands


class SCNet(SeparationModel):
    """Waveform to waveform through the spectrogram of every source."""

    Config = SCNetConfig
    #: How the community runs these networks: four segments over every sample, a short fade.
    overlap = 0.75
    window: Window = "fade"

    def __init__(self, config: SCNetConfig) -> None:
        super().__init__(config, channels=config.audio_channels)
        self.settings = config
        self.standardised = config.standardised
        parts = 2 * config.audio_channels  # real and imaginary part of each channel
        encoder: list[EncoderLayer] = []
        decoder: list[nn.ModuleList] = []
        rows = config.bins
        for inside, outside in pairwise((parts, *config.dims)):
            bands = split_bands(config, rows)
            encoder.append(EncoderLayer(config, inside, outside, bands))
            widened = inside if encoder[1:] else parts * len(config.sources)
            decoder.append(nn.ModuleList([Fusion(outside), Widening(outside, widened, bands)]))
            rows = sum(band.rows for band in bands)
        self.encoder = nn.ModuleList(encoder)
        self.separation_net = SeparationNet(config)
        self.decoder = nn.ModuleList(reversed(decoder))
        # The published networks were trained without a window, that is with one of ones.
        self.rectangle: Tensor
        self.register_buffer("rectangle", torch.ones(config.n_fft), persistent=False)

    def forward(self, mix: Tensor) -> Tensor:
        """Return the sources ``(B, S, C, T)`` of ``mix`` ``(B, C, T)``, for any T.

        The mix is padded with zeros at the end to an even number of frames, as required by the
        Fourier transform over frames.
        """
        batch, channels, samples = mix.shape
        n_fft, hop_length = self.settings.n_fft, self.settings.hop_length
        hops = max(samples, n_fft - 1) // hop_length + 1
        padded = (hops | 1) * hop_length
        wave = functional.pad(mix.float(), (0, padded - samples))
        window, normalized = self.rectangle, self.settings.normalized
        spectrum = stft(wave, n_fft, hop_length, window=window, normalized=normalized)
        x = torch.view_as_real(spectrum).movedim(-1, 2).flatten(1, 2)
        skips = []
        for encode in self.encoder:
            x, skip = encode(x)
            skips.append(skip)
        x = self.separation_net(x)
        for layer in self.decoder:
            fuse, widen = layer.children()
            x = widen(fuse(x + skips.pop()))
        parts = x.float().view(batch, len(self.sources), channels, 2, *x.shape[-2:])
        stems = torch.complex(parts[:, :, :, 0], parts[:, :, :, 1])
        wave = istft(stems, n_fft, hop_length, padded, window=window, normalized=normalized)
        return wave[..., :samples]


# --- Compression and widening ---------------------------------------------------------------------


class EncoderLayer(nn.Module):
    """One step down: bands are compressed and refined separately, then joined ("SD block")."""

    def __init__(
        self, config: SCNetConfig, channels_in: int, channels_out: int, bands: Sequence[Band]
    ) -> None:
        super().__init__()
        self.SDlayer = Compression(channels_in, channels_out, bands)
        self.conv_modules = nn.ModuleList(
            ConvolutionModule(config, channels_out, depth) for depth in config.conv_depths
        )
        self.globalconv = nn.Conv2d(channels_out, channels_out, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the next layer's input and the decoder's skip, both ``(B, C', F', N)``.

        ``x`` is ``(B, C, F, N)``.
        """
        refined = [
            functional.gelu(map_rows(refine, band))
            for refine, band in zip(self.conv_modules, self.SDlayer(x), strict=True)
        ]
        skip = torch.cat(refined, dim=2)
        return self.globalconv(skip), skip


class Compression(nn.Module):
    """A strided convolution over the rows of each band."""

    def __init__(self, channels_in: int, channels_out: int, bands: Sequence[Band]) -> None:
        super().__init__()
        self.bands = list(bands)
        self.convs = nn.ModuleList(
            nn.Conv2d(channels_in, channels_out, (band.kernel, 1), (band.stride, 1))
            for band in bands
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return each compressed band, ``(B, C', rows, N)``, of ``x`` ``(B, C, F, N)``."""
        return [
            convolve(functional.pad(x[:, :, band.start : band.stop], (0, 0, *band.padding)))
            for convolve, band in zip(self.convs, self.bands, strict=True)
        ]


class ConvolutionModule(nn.Module):
    """Residual branches of convolutions over the frames of one row, with few channels."""

    def __init__(self, config: SCNetConfig, channels: int, depth: int) -> None:
        super().__init__()
        hidden, kernel = channels // config.compression, config.conv_kernel
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.GroupNorm(1, channels),
                nn.Conv1d(channels, 2 * hidden, kernel, padding=kernel // 2),
                nn.GLU(dim=1),
                nn.Conv1d(hidden, hidden, kernel, padding=kernel // 2, groups=hidden),
                nn.GroupNorm(1, hidden),
                nn.SiLU(),
                nn.Conv1d(hidden, channels, 1),
            )
            for _ in range(depth)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(B, C, N)`` for ``x`` ``(B, C, N)``."""
        for layer in self.layers:
            x = x + layer(x)
        return x


class Fusion(nn.Module):
    """A 3x3 convolution over input and skip, ending in a gated linear unit."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2 * channels, 2 * channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(B, C, F, N)`` for ``x`` ``(B, C, F, N)``, the sum of input and skip."""
        # The published network uses this sum twice, concatenated: summing the weights instead has
        # the same result for half the work.
        first, second = self.conv.weight.chunk(2, dim=1)
        return functional.glu(
            functional.conv2d(x, first + second, self.conv.bias, padding=1), dim=1
        )


class Widening(nn.Module):
    """A strided transposed convolution to the original rows of each band."""

    def __init__(self, channels_in: int, channels_out: int, bands: Sequence[Band]) -> None:
        super().__init__()
        self.bands = list(bands)
        self.convtrs = nn.ModuleList(
            nn.ConvTranspose2d(channels_in, channels_out, (band.kernel, 1), (band.stride, 1))
            for band in bands
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(B, C', F, N)`` for ``x`` ``(B, C, rows left of all bands, N)``."""
        compressed = torch.split(x, [band.rows for band in self.bands], dim=2)
        widened = []
        for convolve, band, rows in zip(self.convtrs, self.bands, compressed, strict=True):
            below = band.padding[0]
            widened.append(convolve(rows)[:, :, below : below + band.stop - band.start])
        return torch.cat(widened, dim=2)


# --- Separation -----------------------------------------------------------------------------------


class SeparationNet(nn.Module):
    """Dual-path layers, every second one on the Fourier transform of the frames."""

    def __init__(self, config: SCNetConfig) -> None:
        super().__init__()
        width = config.dims[-1]
        self.dp_modules = nn.ModuleList(
            DualPath(width * (1 + number % 2), config.expansion)
            for number in range(config.dual_path_layers)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(B, D, F, N)`` for ``x`` ``(B, D, F, N)``; N is even."""
        for number, layer in enumerate(self.dp_modules):
            x = layer(x)
            # In fp32 regardless of autocast: half precision has no Fourier transform.
            with torch.autocast(x.device.type, enabled=False):
                x = _from_frequencies(x.float()) if number % 2 else _to_frequencies(x.float())
        return x


def _to_frequencies(x: Tensor) -> Tensor:
    """Return the Fourier transform ``(B, 2 D, F, N / 2 + 1)`` of ``x`` ``(B, D, F, N)``.

    Real parts first, then imaginary ones.
    """
    spectrum = torch.fft.rfft(x, norm="ortho")
    return torch.cat([spectrum.real, spectrum.imag], dim=1)


def _from_frequencies(x: Tensor) -> Tensor:
    """Return ``(B, D, F, N)`` for ``x``, the output of `_to_frequencies`."""
    real, imaginary = x.chunk(2, dim=1)
    frames: Tensor = torch.fft.irfft(torch.complex(real, imaginary), norm="ortho")
    return frames


class DualPath(nn.Module):
    """A bidirectional LSTM over the rows of each frame, and another over the frames of each row."""

    def __init__(self, channels: int, expansion: int) -> None:
        super().__init__()
        hidden = expansion * channels
        self.lstm_layers = nn.ModuleList(
            nn.LSTM(channels, hidden, bidirectional=True, batch_first=True) for _ in range(2)
        )
        self.linear_layers = nn.ModuleList(Linear(2 * hidden, channels) for _ in range(2))
        self.norm_layers = nn.ModuleList(nn.GroupNorm(1, channels) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(B, C, F, N)`` for ``x`` ``(B, C, F, N)``."""
        x = x + self._run(0, self.norm_layers[0](x).permute(0, 3, 2, 1)).permute(0, 3, 2, 1)
        return x + self._run(1, self.norm_layers[1](x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    def _run(self, path: int, x: Tensor) -> Tensor:
        """Return ``(B, sequences, length, C)`` for ``x`` of the same shape."""
        sequences = x.flatten(0, 1)
        blocks = [sequences]
        if cuts(x):
            blocks = list(torch.split(sequences, LSTM_SEQUENCES))
        lstm, linear = self.lstm_layers[path], self.linear_layers[path]
        return torch.cat([linear(lstm(block.contiguous())[0]) for block in blocks]).view(x.shape)
