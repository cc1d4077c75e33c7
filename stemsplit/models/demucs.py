"""Demucs: a U-Net of strided convolutions on the waveform, in two generations.

`Demucs` is that of Défossez, Usunier, Bottou, Bach 2019, "Music Source Separation in the Waveform
Domain", arXiv:1911.13254, as its preprint (hal-02277338) describes it and as it was released (v1 in
2019, v2 in 2021). `DemucsV3` is the waveform network that was trained for the Music Demixing
Challenge: Défossez 2021, "Hybrid Spectrogram and Waveform Source Separation", arXiv:2111.03600.
The names of the weights are those of the published checkpoints.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

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
    at_least,
    require_groups,
)
from stemsplit.models.demucs_layers import (
    EPSILON,
    KERNEL_SIZE,
    STRIDE,
    BidirectionalLSTM,
    centre_trim,
    pad_evenly,
    require_branches,
    resample,
    residual_branches,
    valid_length,
)
from stemsplit.models.layers import DConv, rescale_convolutions
from stemsplit.models.pieces import (
    LARGE_PIECE,
    PointwiseConv1d,
    join,
    spans,
    upsample,
    upsamples,
)

# What all published Demucs have in common.
GROWTH = 2
CONTEXT = 1  # frames that a decoder's first convolution sees to each side
RESCALE = 0.1
DCONV_INIT = 1e-4  # of DemucsV3's LayerScale


# --- 2019: Demucs --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class DemucsConfig(CheckedConfig):
    """Configuration of a Demucs of the first generation. The defaults are those of the preprint.

    An exception is ``rescale_outputs``, which the preprint has and the releases do not. The
    releases differ in ``skip`` ("add"), v2 also in ``resample``. ``glu``, ``lstm_layers = 0`` and
    ``rescale = 0`` are the ablations in the paper's second table.
    """

    sources: Sources = ("drums", "bass", "other", "vocals")
    sample_rate: Rate = 44_100  # Hz
    audio_channels: Count = 2
    segment: Segment = 441_000  # samples: 10 s, which v1 separates at a time; v2 40 s
    channels: Count = 48  # C_1; v1 100 and 64 ("light"), v2 64
    depth: Count = 6  # L
    #: How a decoder layer uses the encoder's output: the preprint concatenates it after a first
    #: convolution, the releases add it before.
    skip: Literal["concatenate", "add"] = "concatenate"
    resample: bool = False  # v2 runs at twice the rate
    lstm_layers: CountOrZero = 2  # 0: without
    glu: bool = True  # False: ReLU, and half of the channels before it
    #: Deviation that fresh weights are moved towards; 0 leaves them unchanged.
    rescale: Annotated[float, at_least(0)] = RESCALE
    #: Whether each convolution's output is scaled back, so that rescaling does not change what the
    #: fresh network computes: yes in the preprint, no in the released code.
    rescale_outputs: bool = False

    def validate(self) -> None:
        """Raise ``ValueError`` for values that are incompatible with each other."""
        if self.rescale_outputs and not self.rescale:
            raise ValueError("rescale_outputs has no effect where rescale is 0")


class Demucs(SeparationModel):
    """Encoder, LSTM, decoder; no norm anywhere. Any T; longer inputs give the LSTM more context."""

    Config = DemucsConfig
    standardised = True
    any_length = True

    def __init__(self, config: DemucsConfig) -> None:
        super().__init__(config, channels=config.audio_channels)
        self.resample = config.resample

        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        self.adds = config.skip == "add"
        layer = _adding_layer if self.adds else ConcatenatingLayer
        above, outputs = config.audio_channels, len(config.sources) * config.audio_channels
        for index in range(config.depth):
            channels = config.channels * GROWTH**index
            self.encoder.append(
                nn.Sequential(
                    nn.Conv1d(above, channels, KERNEL_SIZE, STRIDE),
                    nn.ReLU(inplace=True),
                    *_gated(channels, channels, 1, glu=config.glu),
                )
            )
            self.decoder.insert(0, layer(channels, outputs, glu=config.glu, last=index == 0))
            above = outputs = channels
        self.lstm = BidirectionalLSTM(above, config.lstm_layers) if config.lstm_layers else None
        if config.rescale:
            rescale_convolutions(self, config.rescale, outputs=config.rescale_outputs)

    def forward(self, mix: Tensor) -> Tensor:
        """Return the sources ``(B, S, C, T)`` of ``mix`` ``(B, C, T)``; any ``T``."""
        samples, depth = mix.shape[-1], len(self.encoder)
        length = valid_length(samples, depth, lost=2 * CONTEXT, resampled=self.resample)
        x = pad_evenly(mix.float(), length)
        if self.resample:
            x = resample(x, 1, 2)
        skips = []
        for encode in self.encoder:
            x = _encode(encode, x)
            skips.append(x)
        if self.lstm is not None:
            # The preprint has a ReLU here, the releases have none.
            x = self.lstm(x) if self.adds else self.lstm(x).relu()
        for decode in self.decoder:
            skip = skips.pop()
            x = _add_and_decode(decode, x, skip) if self.adds else decode(x, skip)
        x = resample(x, 2, 1) if self.resample else x.float()
        x = centre_trim(x, samples)
        return x.reshape(-1, len(self.sources), self.channels, samples)


def _adding_layer(channels: int, above: int, *, glu: bool, last: bool) -> nn.Sequential:
    """Return a decoder layer of the releases, which comes after the encoder's output was added.

    Convolution of width 3, GLU, transposed convolution, ReLU, which the last layer leaves out.
    """
    return nn.Sequential(
        *_gated(channels, channels, 1 + 2 * CONTEXT, glu=glu),
        nn.ConvTranspose1d(channels, above, KERNEL_SIZE, STRIDE),
        *([] if last else [nn.ReLU(inplace=True)]),
    )


def _encode(layer: nn.Module, x: Tensor) -> Tensor:
    """Return ``layer`` of ``x`` ``(B, C, N)``, an encoder layer: ``(B, C', (N - 8) / 4 + 1)``."""
    length = (x.shape[2] - KERNEL_SIZE) // STRIDE + 1
    channels = layer.get_parameter("0.weight").shape[0]
    pieces = (
        layer(x[..., STRIDE * start : STRIDE * (end - 1) + KERNEL_SIZE])
        for start, end in spans(x, LARGE_PIECE, length=length, channels=channels)
    )
    return join(pieces, length)


def _add_and_decode(layer: nn.Module, x: Tensor, skip: Tensor) -> Tensor:
    """Return ``layer``, of `_adding_layer`, of ``x`` ``(B, C, N)`` and ``skip`` ``(B, C, N')``.

    Of ``skip``, N' >= N, the middle counts. The result is ``(B, C', 4 N - 4)``.
    """
    convolve, gate, expand, *rectify = layer.children()
    length, skip = x.shape[2] - 2 * CONTEXT, centre_trim(skip, x.shape[2])
    spread = (
        slice(start, end + 2 * CONTEXT) for start, end in spans(x, LARGE_PIECE, length=length)
    )
    pieces = (gate(convolve(x[..., part] + skip[..., part])) for part in spread)
    weight, bias = expand.get_parameter("weight"), expand.get_parameter("bias")
    if upsamples(x, weight, STRIDE) and not hasattr(expand, "output_scale"):
        expanded = upsample(pieces, weight, bias, STRIDE)
    else:
        expanded = iter([expand(join(pieces, length))])
    rectified = (rectify[0](piece) for piece in expanded) if rectify else expanded
    return join(rectified, STRIDE * (length - 1) + KERNEL_SIZE)


class ConcatenatingLayer(nn.Module):
    """A decoder layer of the preprint: convolution of width 3, ReLU, concatenated encoder output.

    Then 1x1 convolution, GLU, transposed convolution, ReLU, which the last layer leaves out.
    """

    def __init__(self, channels: int, above: int, *, glu: bool, last: bool) -> None:
        super().__init__()
        self.context = nn.Conv1d(channels, channels, 1 + 2 * CONTEXT)
        self.rewrite = nn.Sequential(*_gated(2 * channels, channels, 1, glu=glu))
        self.conv_tr = nn.ConvTranspose1d(channels, above, KERNEL_SIZE, STRIDE)
        self.last = last

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Return ``(B, C', 4 N - 4)`` for ``x`` ``(B, C, N)``; no convolution is padded.

        Of ``skip`` ``(B, C, N')``, N' >= N, the middle counts.
        """
        y: Tensor = self.context(x).relu()
        y = torch.cat([y, centre_trim(skip, y.shape[-1])], dim=1)
        y = self.conv_tr(self.rewrite(y))
        return y if self.last else y.relu()


def _gated(inputs: int, outputs: int, width: int, *, glu: bool) -> tuple[nn.Module, nn.Module]:
    """Return a convolution followed by GLU, or by ReLU in its place."""
    filters = 2 * outputs if glu else outputs
    convolution = (
        PointwiseConv1d(inputs, filters) if width == 1 else nn.Conv1d(inputs, filters, width)
    )
    return convolution, nn.GLU(dim=1) if glu else nn.ReLU(inplace=True)


# --- 2021: DemucsV3 ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class DemucsV3Config(CheckedConfig):
    """Configuration of a Demucs of v3. The defaults are those of its authors' training."""

    sources: Sources = ("drums", "bass", "other", "vocals")
    sample_rate: Rate = 44_100  # Hz
    audio_channels: Count = 2
    segment: Segment = 1_940_400  # samples: 44 s
    channels: Count = 64
    depth: Count = 6
    gelu: bool = True  # False: ReLU
    resample: bool = True  # runs at twice the rate
    normalize: bool = True  # brings each segment to mean 0 and deviation 1, and back
    lstm_layers: CountOrZero = 0  # between encoder and decoder, as in the first generation
    norm_starts: int = 4  # first layer with norms
    norm_groups: int = 4
    #: Residual branches in the encoder 1, in the decoder 2, in both 3, in neither 0.
    dconv_mode: Literal[0, 1, 2, 3] = 1
    dconv_depth: int = 2
    dconv_comp: int = 4  # channels of a layer over those inside its branches
    dconv_attn: int = 4  # first layer with attention in its branches
    dconv_lstm: int = 4  # first layer with an LSTM in its branches

    def validate(self) -> None:
        """Raise ``ValueError`` if channels do not divide into groups, branches or heads."""
        if self.norm_starts < self.depth:
            # A decoder layer also normalises its output for the layer above.
            require_groups(self.channels * GROWTH ** max(0, self.norm_starts - 1), self.norm_groups)
        if self.dconv_mode:
            for index in range(self.depth):
                require_branches(self, index, self.channels * GROWTH**index)


class DemucsV3(SeparationModel):
    """Demucs with residual branches, norms and attention, mostly in its deepest layers."""

    Config = DemucsV3Config
    standardised = True
    any_length = True

    def __init__(self, config: DemucsV3Config) -> None:
        super().__init__(config, channels=config.audio_channels)
        self.resample = config.resample
        self.normalize = config.normalize
        # The shortest segment is farthest from its valid length.
        self.context = valid_length(1, config.depth, lost=0, resampled=self.resample) // 2

        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        above, outputs = config.audio_channels, len(config.sources) * config.audio_channels
        for index in range(config.depth):
            channels = config.channels * GROWTH**index
            self.encoder.append(_encoder_layer(config, index, above, channels))
            self.decoder.insert(0, _decoder_layer(config, index, channels, outputs))
            above = outputs = channels
        self.lstm = BidirectionalLSTM(above, config.lstm_layers) if config.lstm_layers else None
        rescale_convolutions(self, RESCALE)

    def forward(self, mix: Tensor, context: int = 0) -> Tensor:
        """Return the sources ``(B, S, C, T)`` of ``mix`` ``(B, C, T + 2 context)``; any ``T``.

        Context fills the valid length before it is normalised, as in demucs' ``apply_model``.
        """
        wanted, depth = mix.shape[-1] - 2 * context, len(self.encoder)
        if context:
            length = valid_length(wanted, depth, lost=0, resampled=self.resample)
            start = context - (length - wanted) // 2
            mix = mix[..., start : start + length]
        samples = mix.shape[-1]
        # A single sample has no deviation.
        x = functional.pad(mix.float(), (0, max(0, 2 - samples)))
        mono = x.mean(dim=1, keepdim=True)
        std, mean = torch.std_mean(mono, dim=-1, keepdim=True)
        if self.normalize:
            x = (x - mean) / (EPSILON + std)
        known = x.shape[-1]
        x = pad_evenly(x, valid_length(known, depth, lost=0, resampled=self.resample))
        if self.resample:
            x = resample(x, 1, 2)
        skips = []
        for encode in self.encoder:
            x = encode(x)
            skips.append(x)
        if self.lstm is not None:
            x = self.lstm(x)
        for decode in self.decoder:
            x = decode(x + centre_trim(skips.pop(), x.shape[-1]))
        x = resample(x, 2, 1) if self.resample else x.float()
        x = centre_trim(centre_trim(x, known)[..., :samples], wanted)
        if self.normalize:
            x = torch.addcmul(mean, x, std)
        return x.reshape(-1, len(self.sources), self.channels, wanted)


def _encoder_layer(config: DemucsV3Config, index: int, above: int, channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv1d(above, channels, KERNEL_SIZE, STRIDE),
        _norm(config, index, channels),
        nn.GELU() if config.gelu else nn.ReLU(),
        *_branches(config, index, channels, encoder=True),
        PointwiseConv1d(channels, 2 * channels),
        _norm(config, index, 2 * channels),
        nn.GLU(dim=1),
    )


def _decoder_layer(config: DemucsV3Config, index: int, channels: int, above: int) -> nn.Sequential:
    layer = nn.Sequential(
        nn.Conv1d(channels, 2 * channels, 1 + 2 * CONTEXT, padding=CONTEXT),
        _norm(config, index, 2 * channels),
        nn.GLU(dim=1),
        *_branches(config, index, channels, encoder=False),
        nn.ConvTranspose1d(channels, above, KERNEL_SIZE, STRIDE),
    )
    if index:
        layer.append(_norm(config, index, above))
        layer.append(nn.GELU() if config.gelu else nn.ReLU())
    return layer


def _norm(config: DemucsV3Config, index: int, channels: int) -> nn.Module:
    normalised = index >= config.norm_starts
    return nn.GroupNorm(config.norm_groups, channels) if normalised else nn.Identity()


def _branches(config: DemucsV3Config, index: int, channels: int, *, encoder: bool) -> list[DConv]:
    has_them = config.dconv_mode & (1 if encoder else 2)
    return [residual_branches(config, index, channels, DCONV_INIT)] if has_them else []
