"""MMDenseNet: U-Nets of dense blocks, one per frequency band and one for the full band.

N. Takahashi, Y. Mitsufuji, "Multi-scale multi-band DenseNets for audio source separation", WASPAA
2017, arXiv:1706.09588. Its extension by recurrent layers is in `mmdenselstm.py`.

Axes: ``B`` batch, ``S`` sources, ``C`` channels, ``T`` samples, ``F`` bins, ``N`` frames of the
spectrogram. Feature maps are ``(B, C', F, N)``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from stemsplit.models.base import SeparationModel
from stemsplit.models.config import (
    CheckedConfig,
    Count,
    FFTLength,
    Iterations,
    Rate,
    Segment,
    Sources,
    require_hop,
)
from stemsplit.models.spectrograms import istft, stft
from stemsplit.models.wiener import wiener

#: Prevents division by an input scale of 0.
SCALE_EPSILON = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class BandConfig(CheckedConfig):
    """The network of one band. A stage is a dense block; the middle one is the deepest."""

    bins: Count  # F of its input
    features: Count = 32  # maps of the first convolution
    kernel: tuple[int, int] = (3, 3)  # of bins and frames
    growth: tuple[int, ...]  # k: maps that each layer adds, by stage
    layers: tuple[int, ...]  # L, by stage; 0 if a stage only has its recurrent layer
    lstm: tuple[int, ...] = ()  # units of the recurrent layer after each stage; 0 is none

    def validate(self) -> None:
        """Raise ``ValueError`` for values that are incompatible with each other."""
        stages = len(self.growth)
        if stages % 2 == 0 or len(self.layers) != stages or len(self.lstm) not in (0, stages):
            raise ValueError(f"growth, layers and lstm must have one odd length, not {stages}")
        for stage, layers in enumerate(self.layers):
            recurrent = stage < len(self.lstm) and self.lstm[stage] > 0
            if layers < 1 and not recurrent:
                raise ValueError("a stage must have a layer, or units of a recurrent one")


#: The table of the paper.
FULL_2017 = BandConfig(bins=1025, kernel=(4, 3), growth=7 * (6,), layers=(2, 2, 2, 4, 2, 2, 2))


@dataclass(frozen=True, slots=True, kw_only=True)
class MMDenseNetConfig(CheckedConfig):
    """The network of 2017. Its table is that of the paper; 339,468 parameters for a source."""

    sources: Sources = ("vocals", "drums", "bass", "other")
    sample_rate: Rate = 44_100  # Hz
    channels: Literal[1, 2] = 2
    segment: Segment = 300 * 1024  # T at a time: one excerpt of the Wiener filter, 7 s
    n_fft: FFTLength = 2048  # samples of the window
    hop: Count = 1024
    #: From low to high.
    bands: tuple[BandConfig, ...] = (
        BandConfig(bins=512, kernel=(4, 3), growth=(14,) + 6 * (16,), layers=7 * (4,)),
        BandConfig(bins=513, growth=7 * (10,), layers=7 * (3,)),
    )
    full: BandConfig = FULL_2017
    #: The dense block after all.
    final_growth: int = 4
    final_layers: int = 2
    final_kernel: tuple[int, int] = (2, 1)
    final_dilated: bool = False
    iterations: Iterations = 1  # of the Wiener filter; 0 keeps the phase of the mixture

    def validate(self) -> None:
        """Raise ``ValueError`` for values that are incompatible with each other."""
        require_hop(self.hop, self.n_fft)
        if self.full.bins != sum(band.bins for band in self.bands):
            raise ValueError(f"the bands do not have {self.full.bins} bins together")
        if self.full.bins != self.n_fft // 2 + 1:
            raise ValueError(f"a window of {self.n_fft} does not have {self.full.bins} bins")


def read_bands(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``config`` with its bands, plain tables, as :class:`BandConfig`."""

    def read_band(table: Any) -> BandConfig:
        fields: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in dict(table).items()
        }
        return BandConfig(**fields)

    fields = dict(config)
    if "bands" in fields:
        fields["bands"] = tuple(read_band(table) for table in fields["bands"])
    if "full" in fields:
        fields["full"] = read_band(fields["full"])
    return fields


def pad_around(x: Tensor, rows: int, columns: int) -> Tensor:
    """Return ``x`` padded by ``rows`` and ``columns`` of zeros; an odd one goes at the end."""
    top, left = rows // 2, columns // 2
    return functional.pad(x, (left, columns - left, top, rows - top))


def crop_to(x: Tensor, like: Tensor) -> Tensor:
    """Return the middle of ``x`` with the size of ``like``: the inverse of `pad_around`."""
    top, left = ((x.shape[axis] - like.shape[axis]) // 2 for axis in (-2, -1))
    return x[..., top : top + like.shape[-2], left : left + like.shape[-1]]


class SameConvolution(nn.Conv2d):
    """A convolution that keeps the number of bins and frames."""

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(B, C', F, N)`` for ``x`` ``(B, C, F, N)``."""
        rows, columns = (
            (size - 1) * step for size, step in zip(self.kernel_size, self.dilation, strict=True)
        )
        return super().forward(pad_around(x, rows, columns))


class DenseBlock(nn.Module):
    """Layers that each use the maps of all previous layers and add ``growth``; returns the last.

    Each layer computes its contributions to all following layers at once, where they are summed. So
    norm and ReLU are applied only once to the output of a layer, and nothing is concatenated.
    """

    def __init__(
        self,
        inputs: int,
        growth: int,
        layers: int,
        kernel: tuple[int, int],
        *,
        dilated: bool = False,
    ) -> None:
        super().__init__()
        self.growth = growth
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.BatchNorm2d(growth if index else inputs),
                nn.ReLU(),
                SameConvolution(
                    growth if index else inputs,
                    growth * (layers - index),
                    kernel,
                    dilation=2**index if dilated else 1,
                ),
            )
            for index in range(layers)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(B, growth, F, N)`` for ``x`` ``(B, inputs, F, N)``."""
        ahead: Tensor = self.layers[0](x)
        for layer in self.layers[1:]:
            ahead = ahead[:, self.growth :] + layer(ahead[:, : self.growth])
        return ahead


class LSTMBlock(nn.Module):
    """One map of a stage through a BLSTM over time: from ``(B, C', F, N)`` to ``(B, 1, F, N)``."""

    def __init__(self, inputs: int, bins: int, units: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, 1, 1)
        self.lstm = nn.LSTM(bins, units // 2, batch_first=True, bidirectional=True)
        self.expand = nn.Linear(2 * (units // 2), bins)

    def forward(self, x: Tensor) -> Tensor:
        """Return the map ``(B, 1, F, N)`` of ``x`` ``(B, C', F, N)``."""
        states: Tensor = self.lstm(self.squeeze(x)[:, 0].transpose(1, 2))[0]
        expanded: Tensor = self.expand(states)
        return expanded.transpose(1, 2)[:, None]


class Stage(nn.Module):
    """A dense block, a recurrent layer that adds one map, or both."""

    def __init__(self, inputs: int, bins: int, config: BandConfig, index: int) -> None:
        super().__init__()
        growth, layers = config.growth[index], config.layers[index]
        units = config.lstm[index] if config.lstm else 0
        self.dense = DenseBlock(inputs, growth, layers, config.kernel) if layers else None
        self.lstm = LSTMBlock(growth if layers else inputs, bins, units) if units else None
        self.outputs = (growth if layers else 0) + (1 if units else 0)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(B, outputs, F, N)`` for ``x`` ``(B, inputs, F, N)``."""
        if self.dense is not None:
            x = self.dense(x)
        if self.lstm is None:
            return x
        recurrent: Tensor = self.lstm(x)
        return torch.cat([x, recurrent], dim=1) if self.dense is not None else recurrent


class Up(nn.Module):
    """Doubles bins and frames, crops them to the size of the skip, and concatenates the skip."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.convolve = nn.ConvTranspose2d(channels, channels, 2, stride=2)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Return ``(B, C' + C'', F, N)`` for ``x`` ``(B, C', F / 2, N / 2)`` and ``skip``."""
        return torch.cat([crop_to(self.convolve(self.norm(x)), skip), skip], dim=1)


class MDenseNet(nn.Module):
    """A U-Net of dense blocks: the multi-scale DenseNet of one band."""

    def __init__(self, config: BandConfig, channels: int, outputs: int | None = None) -> None:
        """``outputs`` is the number of output maps; None: that of the last stage."""
        super().__init__()
        self.first = SameConvolution(channels, config.features, config.kernel)
        self.stages = nn.ModuleList()
        self.ups = nn.ModuleList()
        depth = len(config.growth) // 2
        bins, width = [config.bins], config.features
        for _ in range(depth):
            bins.append(-(-bins[-1] // 2))
        skips: list[int] = []
        for index in range(2 * depth + 1):
            level = min(index, 2 * depth - index)
            if index > depth:
                self.ups.append(Up(width))
                width += skips.pop()
            # A stage on the way down takes bins in pairs; the last may be zeros.
            rows = 2 * bins[level + 1] if index < depth else bins[level]
            stage = Stage(width, rows, config, index)
            self.stages.append(stage)
            width = stage.outputs
            if index < depth:
                skips.append(width)
        self.depth = depth
        self.last: nn.Module = nn.Identity()
        if outputs is not None and outputs != width:
            self.last = nn.Sequential(nn.BatchNorm2d(width), nn.Conv2d(width, outputs, 1))
            width = outputs
        self.outputs = width

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(B, outputs, F, N)`` for ``x`` ``(B, C, F, N)``."""
        x = self.first(x)
        skips = []
        for index, stage in enumerate(self.stages):
            if index < self.depth:
                even = stage(pad_around(x, x.shape[-2] % 2, x.shape[-1] % 2))
                skips.append(crop_to(even, x))
                x = functional.avg_pool2d(even, 2)
                continue
            if index > self.depth:
                x = self.ups[index - self.depth - 1](x, skips.pop())
            x = stage(x)
        last: Tensor = self.last(x)
        return last


class SourceNetwork(nn.Module):
    """The magnitudes of one source from those of the mixture."""

    def __init__(self, config: MMDenseNetConfig) -> None:
        super().__init__()
        self.sizes = [band.bins for band in config.bands]
        total = config.full.bins
        self.input_mean = nn.Parameter(torch.zeros(total))
        self.input_scale = nn.Parameter(torch.ones(total))
        # Above 0, because a ReLU that is inactive from the start learns nothing.
        self.output_mean = nn.Parameter(torch.ones(total))
        self.output_scale = nn.Parameter(torch.ones(total))
        # Bands are stacked along the bins, so that all need as many maps as the richest.
        width = max(_last_width(band) for band in config.bands)
        self.bands = nn.ModuleList(MDenseNet(band, config.channels, width) for band in config.bands)
        self.full = MDenseNet(config.full, config.channels)
        self.final = DenseBlock(
            width + self.full.outputs,
            config.final_growth,
            config.final_layers,
            config.final_kernel,
            dilated=config.final_dilated,
        )
        self.norm = nn.BatchNorm2d(config.final_growth)
        self.gated = nn.Conv2d(config.final_growth, 2 * config.channels, 1)

    def forward(self, magnitudes: Tensor) -> Tensor:
        """Return magnitudes ``(B, C, F, N)`` fp32 of the source in ``magnitudes``."""
        scale = self.input_scale.abs() + SCALE_EPSILON
        x = (magnitudes - self.input_mean[:, None]) / scale[:, None]
        banded = [
            band(part) for band, part in zip(self.bands, torch.split(x, self.sizes, 2), strict=True)
        ]
        x = self.final(torch.cat([torch.cat(banded, dim=2), self.full(x)], dim=1))
        x = functional.glu(self.gated(self.norm(x)).float(), dim=1)
        return (x * self.output_scale[:, None] + self.output_mean[:, None]).relu()


def _last_width(band: BandConfig) -> int:
    recurrent = bool(band.lstm) and band.lstm[-1] > 0
    return (band.growth[-1] if band.layers[-1] else 0) + recurrent


class MMDenseNet(SeparationModel):
    """One network per source, and a Wiener filter over all."""

    Config = MMDenseNetConfig

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Return a network of ``config``; `bands` and `full` are tables of `BandConfig`'s fields.

        Raises ``TypeError`` for an unknown field.
        """
        return super().from_config(read_bands(config))

    def __init__(self, config: MMDenseNetConfig) -> None:
        super().__init__(config)
        self.settings = config
        self.networks = nn.ModuleList(SourceNetwork(config) for _ in config.sources)

    def training_outputs(self, mix: Tensor) -> dict[str, Tensor]:
        """Return ``sources`` (B, S, C, T), and the ``magnitudes`` (B, S, C, F, N) behind them.

        The authors trained with the squared distance of ``magnitudes`` to those of the stems,
        without the filter; in training, ``sources`` are therefore not filtered.
        """
        settings, samples = self.settings, mix.shape[-1]
        mixture = self.transform(mix)
        inputs = mixture.abs()
        magnitudes = torch.stack([network(inputs) for network in self.networks], dim=1)
        with torch.autocast(mix.device.type, enabled=False):
            # The filter has nothing to do for a single source.
            filtered = not self.training and len(self.sources) > 1
            separated = wiener(
                magnitudes, mixture, iterations=settings.iterations if filtered else 0
            )
        waves = istft(separated, settings.n_fft, settings.hop, samples)
        return {"sources": waves, "magnitudes": magnitudes}

    def transform(self, wave: Tensor) -> Tensor:
        """Return the spectrum ``(..., F, N)`` of ``wave`` ``(..., T)``."""
        # The least that can be reflected at its ends.
        missing = max(0, self.settings.n_fft // 2 + 1 - wave.shape[-1])
        padded = functional.pad(wave.float(), (0, missing))
        return stft(padded, self.settings.n_fft, self.settings.hop)
