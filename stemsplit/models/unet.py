"""U-Net: a mask on the magnitudes of twelve seconds, treated like an image.

A. Jansson, E. Humphrey, N. Montecchio, R. Bittner, A. Kumar, T. Weyde, "Singing voice separation
with deep U-Net convolutional networks", ISMIR 2017. With a control network it is the C-U-Net:
G. Meseguer-Brocal, G. Peeters, "Conditioned-U-Net: introducing a control mechanism in the U-Net for
multiple source separations", ISMIR 2019.

Axes: ``B`` batch, ``S`` sources, ``C`` channels, ``T`` samples, ``F`` bins, ``N`` frames of the
spectrogram, ``Z`` values of the condition.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from stemsplit.models.base import SeparationModel
from stemsplit.models.config import (
    CheckedConfig,
    Count,
    FFTLength,
    Rate,
    Sources,
    require_multiples,
)
from stemsplit.models.spectrograms import istft, stft

#: Magnitudes are scaled to a peak of 1, unless their peak is below this.
PEAK_FLOOR = 1e-8
#: Width of the layers of the published control networks, by kind and by what they control.
CONTROL_WIDTHS = {
    ("dense", "simple"): (16, 64, 256),
    ("dense", "complex"): (16, 256, 1024),
    ("convolution", "simple"): (16, 32, 64),
    ("convolution", "complex"): (32, 64, 256),
}
#: Of the second and the third layer of a control network.
CONTROL_DROPOUT = 0.5
#: Layers of an encoder or a decoder that have dropout: the first ones.
DROPOUT_LAYERS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class UNetConfig(CheckedConfig):
    """Jansson's networks; ``arrangement`` defines how they produce several sources.

    "separate" is the paper: one network per source. "joint" is one network with one mask per
    source. "conditioned" is the C-U-Net: one network with one mask, and a vector that selects the
    source; its published sources are bass, drums, rest and vocals.
    """

    sources: Sources = ("vocals", "accompaniment")
    sample_rate: Rate = 8192  # Hz
    channels: Count = 1
    n_fft: FFTLength = 1024  # samples of the Hann window
    hop: Count = 768
    bins: Count = 512  # F: all but the highest
    block: Count = 128  # N that a network processes at a time: 12 s
    widths: tuple[int, ...] = (16, 32, 64, 128, 256, 512)  # channels after each halving
    dropout: float = 0.5  # of three layers
    #: Which three: the first ones going up, as in the paper, or the first ones going down, as E.
    #: Manilow, P. Seetharaman, J. Salamon describe it in "Open Source Tools & Data for Music Source
    #: Separation", 2020.
    dropout_in: Literal["decoder", "encoder"] = "decoder"
    arrangement: Literal["separate", "joint", "conditioned"] = "separate"
    #: The control network of the C-U-Net, and what it sets in each layer going down: one scale and
    #: shift ("simple"), or one per feature map ("complex").
    control: Literal["dense", "convolution"] = "dense"
    film: Literal["simple", "complex"] = "simple"
    control_widths: tuple[int, ...] = ()  # empty: those of `CONTROL_WIDTHS`

    def validate(self) -> None:
        """Raise ``ValueError`` for values that are incompatible with each other."""
        require_multiples(2 ** len(self.widths), bins=self.bins, block=self.block)
        if self.bins > self.n_fft // 2 + 1:
            raise ValueError(f"{self.bins} bins are more than a window of {self.n_fft} has")
        if self.hop >= self.n_fft:
            raise ValueError(f"a hop of {self.hop} is not within a window of {self.n_fft}")
        if self.arrangement == "conditioned" and len(self.sources) < 2:
            raise ValueError("sources must name at least two sources for a condition to choose")
        if self.control_widths and len(self.control_widths) != 3:
            raise ValueError(f"a control network has 3 layers, not {len(self.control_widths)}")


class DownLayer(nn.Module):
    """Halves the size: 5x5 convolution of stride 2, batch norm, leaky ReLU, dropout.

    FiLM, if used, follows the batch norm.
    """

    def __init__(self, inputs: int, outputs: int, *, dropout: float) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 5, stride=2)
        self.norm = nn.BatchNorm2d(outputs)
        self.dropout = nn.Dropout(dropout)
        nn.init.normal_(self.convolution.weight, std=0.02)

    def forward(self, x: Tensor, film: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Return ``(B, C', F / 2, N / 2)`` for ``x`` ``(B, C, F, N)``.

        ``film`` is a scale and a shift ``(B, 1 or C')``.
        """
        # The odd zero is at the end, so that going up needs no shift.
        y = self.norm(self.convolution(functional.pad(x, (1, 2, 1, 2))))
        if film is not None:
            scale, shift = (values[..., None, None] for values in film)
            y = shift + scale * y
        dropped: Tensor = self.dropout(functional.leaky_relu(y, 0.2))
        return dropped


class UpLayer(nn.Module):
    """Doubles the size: 5x5 transposed convolution of stride 2, batch norm, ReLU, dropout.

    The last layer of a network only has the convolution.
    """

    def __init__(self, inputs: int, outputs: int, *, dropout: float, last: bool) -> None:
        super().__init__()
        self.convolution = nn.ConvTranspose2d(inputs, outputs, 5, stride=2)
        self.norm = None if last else nn.BatchNorm2d(outputs)
        self.dropout = nn.Dropout(dropout)
        nn.init.normal_(self.convolution.weight, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(B, C', 2 F, 2 N)`` for ``x`` ``(B, C, F, N)``."""
        y: Tensor = self.convolution(x)[..., 1:-2, 1:-2]
        return y if self.norm is None else self.dropout(functional.relu(self.norm(y)))


class Network(nn.Module):
    """Computes logits of ``masks`` masks from magnitudes; 2^levels divides F and N."""

    def __init__(self, config: UNetConfig, masks: int) -> None:
        super().__init__()
        widths = config.widths

        def dropout(part: str, level: int) -> float:
            here = part == config.dropout_in and level < DROPOUT_LAYERS
            return config.dropout if here else 0.0

        self.down = nn.ModuleList(
            DownLayer(above, below, dropout=dropout("encoder", level))
            for level, (above, below) in enumerate(pairwise((config.channels, *widths)))
        )
        rising = (*widths[-2::-1], masks * config.channels)
        # From the second layer on, the skip of this level is concatenated.
        joined = (widths[-1], *(2 * width for width in widths[-2::-1]))
        self.up = nn.ModuleList(
            UpLayer(
                below,
                above,
                dropout=dropout("decoder", level),
                last=level == len(widths) - 1,
            )
            for level, (below, above) in enumerate(zip(joined, rising, strict=True))
        )

    def forward(
        self, magnitudes: Tensor, films: Sequence[tuple[Tensor, Tensor]] | None = None
    ) -> Tensor:
        """Return the logits ``(B, masks * C, F, N)`` fp32 of ``magnitudes`` ``(B, C, F, N)``.

        ``films`` is a scale and a shift for each layer going down.
        """
        return self.logits(self.features(magnitudes, films))

    def logits(self, features: Tensor) -> Tensor:
        """Return the logits ``(B, masks * C, F, N)`` fp32 of ``features``."""
        logits: Tensor = self.up[-1](features).float()
        return logits

    def features(
        self, magnitudes: Tensor, films: Sequence[tuple[Tensor, Tensor]] | None = None
    ) -> Tensor:
        """Return the input ``(B, H, F / 2, N / 2)`` of the last layer; H = `feature_width`."""
        x = magnitudes
        skips = []
        for level, layer in enumerate(self.down):
            x = layer(x, None if films is None else films[level])
            skips.append(x)
        x = skips.pop()
        for layer in self.up[:-1]:
            x = torch.cat([layer(x), skips.pop()], dim=1)
        return x


class Control(nn.Module):
    """Computes a scale and a shift for each layer going down from a condition (FiLM).

    Dropout and batch norm follow the second and the third layer.
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        values = len(config.sources)
        self.dense = config.control == "dense"
        self.parts = [1] * len(config.widths) if config.film == "simple" else [*config.widths]
        widths = config.control_widths or CONTROL_WIDTHS[config.control, config.film]
        sizes = (values if self.dense else 1, *widths)
        self.layers = nn.ModuleList(
            nn.Linear(above, below) if self.dense else nn.Conv1d(above, below, values)
            for above, below in pairwise(sizes)
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for width in widths[1:])
        self.dropout = nn.Dropout(CONTROL_DROPOUT)
        self.scale = nn.Linear(widths[-1], sum(self.parts))
        self.shift = nn.Linear(widths[-1], sum(self.parts))
        # A fresh network is approximately unconditioned.
        nn.init.ones_(self.scale.bias)

    def forward(self, condition: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return scale and shift ``(B, 1 or C')`` for each layer of ``condition`` ``(B, Z)``."""
        x = condition if self.dense else condition[:, None]
        for number, layer in enumerate(self.layers):
            if not self.dense and number < len(self.layers) - 1:
                # Keeps the number of values; the last convolution leaves one.
                x = functional.pad(x, ((condition.shape[1] - 1) // 2, condition.shape[1] // 2))
            x = functional.relu(layer(x))
            if number:
                x = self.norms[number - 1](self.dropout(x))
        x = x.flatten(1)
        scales = self.scale(x).split(self.parts, dim=1)
        shifts = self.shift(x).split(self.parts, dim=1)
        return list(zip(scales, shifts, strict=True))


class UNet(SeparationModel):
    """Sigmoid masks on the magnitudes of the mixture, keeping its phase."""

    Config = UNetConfig

    def __init__(self, config: UNetConfig) -> None:
        segment = (config.block - 1) * config.hop  # one block of frames
        super().__init__(config, segment=segment)
        self.settings = config
        separate = config.arrangement == "separate"
        masks = len(config.sources) if config.arrangement == "joint" else 1
        self.networks = nn.ModuleList(
            Network(config, masks) for _ in range(len(config.sources) if separate else 1)
        )
        self.control = Control(config) if config.arrangement == "conditioned" else None
        if config.arrangement == "joint":
            self.feature_width = config.widths[0] * (2 if len(config.widths) > 1 else 1)

    def training_outputs(self, mix: Tensor) -> dict[str, Tensor]:
        """Return ``sources`` (B, S, C, T), ``masks`` and ``magnitudes`` (B, S, C, F, N).

        F is the number of bins in the networks. The paper's loss is the L1 distance of
        ``magnitudes``, those of the masked mixture, to those of the true sources. A joint network
        also returns the ``features`` (B, H, N / 2) behind its masks, their mean over frequency.
        """
        spectrum = self.transform(mix.float())
        magnitudes = spectrum.abs()[:, :, : self.settings.bins]
        logits, features = self._logits(self._blocks(magnitudes))
        masks = self._joined(logits.sigmoid(), len(mix), magnitudes.shape[-1])
        outputs = {
            "sources": self._masked(masks, spectrum, mix.shape[-1]),
            "masks": masks,
            "magnitudes": masks * magnitudes[:, None],
        }
        if features is not None:
            halves = features.view(len(mix), -1, *features.shape[1:]).transpose(1, 2).flatten(2)
            outputs["features"] = halves[..., : (masks.shape[-1] + 1) // 2]
        return outputs

    def transform(self, wave: Tensor) -> Tensor:
        """Return the spectrum ``(..., F, N)`` of ``wave`` ``(..., T)``; N = 1 + ceil(T / hop).

        Zeros fill the last hop, and make waves longer that are too short to be reflected. F is
        n_fft / 2 + 1.
        """
        size, hop = self.settings.n_fft, self.settings.hop
        samples = max(wave.shape[-1], size // 2 + 1)
        return stft(functional.pad(wave, (0, samples + -samples % hop - wave.shape[-1])), size, hop)

    def _blocks(self, magnitudes: Tensor) -> Tensor:
        """Return blocks ``(B * blocks, C, F, block)`` of ``magnitudes`` ``(B, C, F, N)``.

        The largest becomes 1: the paper scales songs to 0 .. 1, here it is per segment. The last
        frame is followed by zeros.
        """
        scaled = magnitudes / magnitudes.amax((1, 2, 3), keepdim=True).clamp(min=PEAK_FLOOR)
        block = self.settings.block
        padded = functional.pad(scaled, (0, -scaled.shape[-1] % block))
        blocks = padded.view(*padded.shape[:3], -1, block)
        return blocks.permute(0, 3, 1, 2, 4).flatten(0, 1)

    def _logits(self, blocks: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the logits ``(B, S C, F, N)`` of ``blocks`` ``(B, C, F, N)``.

        Of a joint network also the features behind them ``(B, H, N / 2)``.
        """
        if self.control is not None:
            return self._conditioned(self.control, blocks), None
        if self.feature_width:
            network = cast(Network, self.networks[0])
            features = network.features(blocks)
            return network.logits(features), features.mean(2)
        return torch.cat([network(blocks) for network in self.networks], dim=1), None

    def _conditioned(self, control: nn.Module, blocks: Tensor) -> Tensor:
        """Return the logits ``(B, S C, F, N)`` of ``blocks`` ``(B, C, F, N)``.

        The condition of a source is one-hot: 1 for the source itself, 0 for the others.
        """
        count = len(self.sources)
        conditions = torch.eye(count, device=blocks.device)
        films = control(conditions.repeat(len(blocks), 1))
        logits: Tensor = self.networks[0](blocks.repeat_interleave(count, dim=0), films)
        return logits.view(len(blocks), -1, *logits.shape[2:])

    def _joined(self, masks: Tensor, batch: int, frames: int) -> Tensor:
        """Return ``(B, S, C, F, N)`` of the masks ``(B * blocks, S C, F, block)`` of blocks."""
        blocks, rows, bins, block = masks.shape
        shape = (batch, blocks // batch, rows // self.channels, self.channels, bins, block)
        return masks.view(shape).permute(0, 2, 3, 4, 1, 5).flatten(-2)[..., :frames]

    def _masked(self, masks: Tensor, spectrum: Tensor, samples: int) -> Tensor:
        """Return waves ``(B, S, C, T)``: ``spectrum`` ``(B, C, F, N)`` through ``masks``.

        Bins above the masks are in no source. T = ``samples``.
        """
        size, hop = self.settings.n_fft, self.settings.hop
        above = size // 2 + 1 - self.settings.bins
        masked = functional.pad(masks, (0, 0, 0, above)) * spectrum[:, None]
        return istft(masked, size, hop, (spectrum.shape[-1] - 1) * hop)[..., :samples]
