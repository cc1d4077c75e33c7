"""Spleeter: one convolutional U-Net for each stem, on magnitudes below 11 kHz, and a ratio mask.

R. Hennequin, A. Khlif, F. Voituret, M. Moussallam, "Spleeter: a fast and efficient music source
separation tool with pre-trained models", JOSS 5 (2020); the U-Net is that of A. Jansson et al.,
"Singing voice separation with deep U-Net convolutional networks", ISMIR 2017.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

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
from stemsplit.models.spectrograms import istft, magnitudes, stft

#: Keras' defaults, as in the published weights (its momentum of 0.99 is 0.01 here).
NORM_EPSILON, NORM_MOMENTUM = 1e-3, 0.01
MASK_EPSILON = 1e-10
#: The highest bins of the networks, whose mask the extension "top" continues: 700 Hz.
TOP_SHARE = 1 / 16


@dataclass(frozen=True, slots=True, kw_only=True)
class SpleeterConfig(CheckedConfig):
    """The published 2-stems network; 4 and 5 stems differ in ``activation`` and ``softmax``."""

    sources: Sources = ("vocals", "accompaniment")
    sample_rate: Rate = 44_100  # Hz
    channels: Count = 2
    window: FFTLength = 4096  # samples of the STFT
    hop: Count = 1024
    bins: Count = 1024  # F in the U-Nets: up to 11 kHz; 1,536 in the "16 kHz" variant
    block: Count = 512  # N that the U-Nets process at a time
    activation: Literal["leaky_relu", "elu"] = "leaky_relu"  # "elu" in 4 and 5 stems
    widths: tuple[int, ...] = (16, 32, 64, 128, 256, 512)  # channels after each halving
    softmax: bool = False  # across the stems, in 5 stems; else each mask is a sigmoid
    #: Above ``bins``: "zeros" as published, no stem gets any of it; or the "average" of the mask
    #: below (Spleeter's own other choice), or that of its "top" bins, so that the stems sum to the
    #: mixture.
    mask_extension: Literal["zeros", "average", "top"] = "zeros"

    def validate(self) -> None:
        """Raise ``ValueError`` for values that are incompatible with each other."""
        require_multiples(2 ** len(self.widths), bins=self.bins, block=self.block)
        if self.bins > self.window // 2:
            raise ValueError(f"{self.bins} bins are more than half of the window of {self.window}")


class UNet(nn.Module):
    """Computes logits of a mask from magnitudes, ``(B, C, N, F)``; 2^levels divides both axes."""

    def __init__(self, config: SpleeterConfig) -> None:
        super().__init__()
        elu = config.activation == "elu"
        self.encoder_activation = nn.ELU(inplace=True) if elu else nn.LeakyReLU(0.2, inplace=True)
        self.decoder_activation = nn.ELU(inplace=True) if elu else nn.ReLU(inplace=True)
        widths = config.widths
        self.down = nn.ModuleList(
            nn.Conv2d(above, below, 5, stride=2)
            for above, below in pairwise((config.channels, *widths))
        )
        # The deepest convolution has neither norm nor activation.
        self.down_norms = nn.ModuleList(_norm(width) for width in widths[:-1])
        rising = (*widths[-2::-1], 1)
        joined = (widths[-1], *(2 * width for width in rising[:-1]))
        self.up = nn.ModuleList(
            Doubling(below, above) for below, above in zip(joined, rising, strict=True)
        )
        self.up_norms = nn.ModuleList(_norm(width) for width in rising)
        self.dropout = nn.Dropout(0.5)
        self.last = nn.Conv2d(1, config.channels, 4, dilation=2, padding=3)
        self.register_load_state_dict_pre_hook(_copy_weights)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_post_hook(_put_channels_last)  # type: ignore[no-untyped-call]

    def forward(self, magnitudes: Tensor) -> Tensor:
        """Return the logits ``(B, C, N, F)`` of the mask of ``magnitudes`` ``(B, C, N, F)``."""
        x = magnitudes.contiguous(memory_format=torch.channels_last)  # faster in all layers
        skips = []
        for level, convolve in enumerate(self.down):
            # TensorFlow's "same" puts the odd zero at the end.
            x = convolve(functional.pad(x, (1, 2, 1, 2)))
            if level < len(self.down_norms):
                skips.append(x)
                x = self.encoder_activation(self.down_norms[level](x))
        for level, (convolve, norm) in enumerate(zip(self.up, self.up_norms, strict=True)):
            if level:
                x = torch.cat([skips.pop(), x], dim=1)
            x = norm(self.decoder_activation(convolve(x)[..., :-1, :-1]))
            if level < 3:
                x = self.dropout(x)
        logits: Tensor = self.last(x)
        return logits.contiguous()


class Doubling(nn.ConvTranspose2d):
    """A transposed convolution ``(B, C, N, F)`` to ``(B, C', 2 N + 1, 2 F + 1)``.

    TensorFlow's "same" leaves out the last row and column.
    """

    def __init__(self, below: int, above: int) -> None:
        super().__init__(below, above, 5, stride=2, padding=1)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Return ``x``, twice as high and wide plus 1; ``output_size`` is not used."""
        if self.out_channels > 1:
            return super().forward(x)
        # oneDNN computes 16 channels, whatever their number. So: a product for each of the 25
        # places of the kernel, and their sum.
        _, below, height, width = x.shape
        products = self.weight.view(below, 25).t() @ x.flatten(2)
        y = functional.fold(products, (2 * height + 1, 2 * width + 1), 5, stride=2, padding=1)
        return y if self.bias is None else y + self.bias


class Spleeter(SeparationModel):
    """A U-Net per stem; the squares of the masked magnitudes are shares of the mixture.

    The original cuts a song without any overlap. A little hides the joins; more changes the SDR of
    6 songs by less than chance does: vocals have 7.95 dB with none, 7.94 with a sixteenth, 7.98
    with an eighth and 8.02 with a quarter, the mean of 18 excerpts.
    """

    Config = SpleeterConfig
    overlap = 1 / 16

    def __init__(self, config: SpleeterConfig) -> None:
        # The frames of audio that, with the silence before them, result in one spectrogram block.
        segment = config.block * config.hop - config.window
        super().__init__(config, segment=segment)
        self.settings = config
        self.networks = nn.ModuleList(UNet(config) for _ in config.sources)

    @property
    def reach(self) -> tuple[int, int]:
        """How many frames before and after it a sample of the sources depends on, at most.

        Each halving, and each doubling after it, sees two of its own frames to either side, and the
        last convolution three; a sample is under the windows to either side of it.
        """
        levels = len(self.settings.widths)
        frames = 2 * 2 * (2**levels - 1) + 3
        farthest = min(self.segment, frames * self.settings.hop + self.settings.window)
        return farthest, farthest

    def training_outputs(self, mix: Tensor) -> dict[str, Tensor]:
        """Return ``sources`` (B, S, C, T), and the ``magnitudes`` (B, S, C, F, N) behind them.

        The published networks were trained with the L1 distance of ``magnitudes`` to the stems'.
        """
        spectrum = self.transform(mix.float())
        passed = self.magnitudes(magnitudes(spectrum[:, :, : self.settings.bins]))
        masked = self.masks(passed) * spectrum[:, None]
        return {"sources": self.restore(masked, mix.shape[-1]), "magnitudes": passed}

    def transform(self, wave: Tensor) -> Tensor:
        """Return the spectrum ``(B, C, F, N)`` of ``wave`` ``(B, C, T)`` after a window of silence.

        The first frame covers that silence alone, the last at least one sample of ``wave``.
        """
        size, hop = self.settings.window, self.settings.hop
        frames = -(-(wave.shape[-1] + size) // hop)
        # Centred frames add half of the silence; the zeros at the end are mirrored.
        padded = functional.pad(wave, (size // 2, 2 * size))
        return stft(padded, size, hop)[..., :frames]

    def restore(self, spectrum: Tensor, samples: int) -> Tensor:
        """Return the wave ``(..., T)`` of ``spectrum`` ``(..., F, N)``: ``samples`` long."""
        size, hop = self.settings.window, self.settings.hop
        return istft(spectrum, size, hop, size // 2 + samples)[..., size // 2 :]

    def magnitudes(self, mixture: Tensor) -> Tensor:
        """Return the masked magnitudes ``(B, S, C, bins, N)`` of ``mixture`` (B, C, F, N).

        The networks process ``block`` frames at a time; the last block is padded with zeros.
        """
        block, bins = self.settings.block, self.settings.bins
        frames = mixture.shape[-1]
        padded = functional.pad(mixture[:, :, :bins].mT, (0, 0, 0, -frames % block))
        blocks = padded.view(*padded.shape[:2], -1, block, bins).transpose(1, 2)
        flat = blocks.flatten(0, 1)
        # In fp32 from here on: the squares of magnitudes would overflow in half precision.
        logits = torch.stack([network(flat).float() for network in self.networks], dim=1)
        share = logits.softmax(dim=1) if self.settings.softmax else logits.sigmoid()
        passed = (share * flat[:, None]).view(*blocks.shape[:2], -1, *blocks.shape[2:])
        return passed.permute(0, 2, 3, 1, 4, 5).flatten(3, 4)[..., :frames, :].mT

    def masks(self, magnitudes: Tensor) -> Tensor:
        """Return the share ``(B, S, C, F, N)`` of each of ``magnitudes`` ``(B, S, C, bins, N)``."""
        power = magnitudes.mT**2  # as the mixture is in memory: bins are next to each other
        total = power.sum(dim=1, keepdim=True) + MASK_EPSILON
        mask = (power + MASK_EPSILON / len(self.sources)) / total
        above = self.settings.window // 2 + 1 - self.settings.bins
        if self.settings.mask_extension == "zeros":
            return functional.pad(mask, (0, above)).mT
        top = self.settings.mask_extension == "top"
        known = mask[..., -math.ceil(TOP_SHARE * self.settings.bins) :] if top else mask
        rest = known.mean(dim=-1, keepdim=True).expand(*mask.shape[:-1], above)
        return torch.cat([mask, rest], dim=-1).mT


def _norm(width: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(width, eps=NORM_EPSILON, momentum=NORM_MOMENTUM)


def _copy_weights(
    _network: nn.Module, state: dict[str, Tensor], prefix: str, *_unused: object
) -> None:
    """Copy all tensors of a network, so that a mapped file does not stay in memory for a few.

    Its convolutions need their weights in another order, and the file would be kept beside them.
    """
    for name, tensor in state.items():
        if name.startswith(prefix):
            order = torch.channels_last if tensor.dim() == 4 else torch.contiguous_format
            state[name] = tensor.clone(memory_format=order)


def _put_channels_last(network: nn.Module, _keys: object) -> None:
    """Order the weights of ``network`` as its layers take them, once and not in every run.

    For weights that were copied into those of the network, whose order they have then.
    """
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
