"""What Mask Inference, Deep Clustering and Chimera share: spectrogram, BLSTM layers, two heads.

Front end, initial weights and names in the state dict are those of the library of the source
separation tutorial: E. Manilow, P. Seetharaman, J. Salamon, "Open Source Tools & Data for Music
Source Separation", ISMIR 2020; E. Manilow, P. Seetharaman, B. Pardo, "The Northwestern University
Source Separation Library", ISMIR 2018.

Axes: ``B`` batch, ``S`` sources, ``C`` channels, ``T`` samples, ``F`` bins, ``N`` frames of the
spectrogram, ``M`` inputs of the layers (``F`` bins, or bands of the mel scale), ``H`` outputs of
the BLSTM layers for a frame, ``D`` dimensions of an embedding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from stemsplit.models.base import SeparationModel
from stemsplit.models.config import (
    CheckedConfig,
    Count,
    CountOrZero,
    FFTLength,
    Rate,
    Segment,
    Sources,
    require_hop,
)
from stemsplit.models.mel import mel_triangles
from stemsplit.models.spectrograms import istft, stft

#: The lowest level: -80 dB of a full-scale signal.
POWER_FLOOR = 1e-8


Cell: TypeAlias = Literal["lstm", "gru"]
MaskActivation: TypeAlias = Literal["sigmoid", "softmax", "clipped_relu"]
EmbeddingActivation: TypeAlias = Literal["sigmoid", "tanh"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecurrentConfig(CheckedConfig):
    """The tutorial's network for one voice: mono, 16 kHz, windows of 32 ms, hops of 8 ms."""

    sources: Sources = ("vocals",)
    sample_rate: Rate = 16_000  # Hz
    channels: Count = 1
    #: 10 s: although trained on 3 to 5 s, BLSTM layers benefit from context.
    segment: Segment = 160_000
    n_fft: FFTLength = 512  # samples of the window, the square root of a Hann window
    hop: Count = 128
    hidden: Count = 300  # H / 2: cells of a layer in each direction
    layers: Count = 4
    #: LSTM as in the papers, or GRU, which the tutorial's library also has: a quarter smaller.
    cell: Cell = "lstm"
    dropout: float = 0.3  # after every layer but the last
    #: Whether each bin has its own scale and shift, as in the tutorial's own Mask Inference.
    norm_per_bin: bool = False
    #: Number of mel bands that are used and masked instead of the bins, as by Luo; 0: use bins. A
    #: bin's mask is the weighted mean of those of its bands.
    mel_bands: CountOrZero = 0

    def validate(self) -> None:
        """Raise ``ValueError`` for values that are incompatible with each other."""
        require_hop(self.hop, self.n_fft)


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskingConfig(RecurrentConfig):
    """Additional settings of a network with a `MaskHead`."""

    #: Wang compares these three; softmax masks of all sources sum to 1, others are at most 1.
    mask_activation: MaskActivation = "sigmoid"

    def validate(self) -> None:
        """Raise ``ValueError`` for values that are incompatible with each other."""
        RecurrentConfig.validate(self)
        if self.mask_activation == "softmax" and len(self.sources) < 2:
            raise ValueError("sources must name at least two sources for a softmax between them")


class LevelNorm(nn.Module):
    """Batch norm of levels ``(B, N, M C)``: over everything, or for each bin and channel."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.batch_norm = nn.BatchNorm1d(features)

    def forward(self, levels: Tensor) -> Tensor:
        """Return the normed ``levels`` ``(B, N, M C)``."""
        rows = levels.reshape(-1, self.batch_norm.num_features)
        normed: Tensor = self.batch_norm(rows)
        return normed.view(levels.shape)


class RecurrentStack(nn.Module):
    """Layers in both directions: from ``(B, N, inputs)`` to ``(B, N, 2 hidden)``."""

    def __init__(self, inputs: int, hidden: int, layers: int, dropout: float, cell: Cell) -> None:
        super().__init__()
        kinds: dict[Cell, type[nn.LSTM | nn.GRU]] = {"lstm": nn.LSTM, "gru": nn.GRU}
        self.rnn = kinds[cell](
            inputs,
            hidden,
            layers,
            batch_first=True,
            bidirectional=True,
            dropout=dropout if layers > 1 else 0.0,
        )
        for name, weight in self.rnn.named_parameters():
            if "weight" in name:
                nn.init.xavier_normal_(weight)
            else:
                nn.init.zeros_(weight)
                if cell == "lstm":
                    # The second quarter is the forget gates: open, so that gradients reach far
                    # back.
                    nn.init.ones_(weight[hidden : 2 * hidden])

    def forward(self, features: Tensor) -> Tensor:
        """Return the output ``(B, N, 2 hidden)`` of the last layer for ``features``."""
        states: Tensor = self.rnn(features)[0]
        return states


class Head(nn.Module):
    """One linear layer: ``values`` numbers for each bin of each channel."""

    def __init__(self, states: int, bins: int, channels: int, values: int) -> None:
        super().__init__()
        self.shape = (bins, channels, values)
        self.linear = nn.Linear(states, bins * channels * values)
        nn.init.xavier_normal_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def project(self, states: Tensor) -> Tensor:
        """Return ``(B, C, M, N, values)`` fp32 for ``states`` ``(B, N, H)``."""
        projected: Tensor = self.linear(states).float()
        return projected.view(*states.shape[:2], *self.shape).permute(0, 3, 2, 1, 4)


class MaskHead(Head):
    """Estimates each source's share of each bin."""

    def __init__(self, config: MaskingConfig, states: int, bins: int) -> None:
        super().__init__(states, bins, config.channels, len(config.sources))
        self.activation = config.mask_activation

    def forward(self, states: Tensor) -> Tensor:
        """Return the masks ``(B, S, C, M, N)``, 0 to 1, of ``states`` ``(B, N, H)``."""
        logits = self.project(states).movedim(-1, 1)
        if self.activation == "softmax":
            return logits.softmax(1)
        return logits.sigmoid() if self.activation == "sigmoid" else logits.clamp(0, 1)


class EmbeddingHead(Head):
    """Maps each bin to a point on the unit sphere; bins of the same source are close together."""

    def __init__(
        self,
        states: int,
        bins: int,
        channels: int,
        dimensions: int,
        activation: EmbeddingActivation,
    ) -> None:
        super().__init__(states, bins, channels, dimensions)
        self.activation = activation

    def forward(self, states: Tensor) -> Tensor:
        """Return embeddings ``(B, C, M, N, D)`` of length 1 of ``states`` ``(B, N, H)``."""
        values = self.project(states)
        values = values.tanh() if self.activation == "tanh" else values.sigmoid()
        return functional.normalize(values, dim=-1)


class RecurrentSeparator(SeparationModel, abstract=True):
    """A spectrogram whose levels go through BLSTM layers, and masks on it with the mixture's phase.

    A subclass adds heads and computes masks from their outputs.
    """

    Config = RecurrentConfig

    def __init__(self, config: RecurrentConfig) -> None:
        super().__init__(config)
        self.n_fft = config.n_fft
        self.hop = config.hop
        self.bins = config.mel_bands or config.n_fft // 2 + 1  # M
        self.bands: Tensor
        triangles = (
            mel_triangles(config.mel_bands, config.n_fft, config.sample_rate)
            if config.mel_bands
            else []
        )
        self.register_buffer("bands", torch.tensor(triangles), persistent=False)
        features = self.bins * config.channels
        self.states = self.feature_width = 2 * config.hidden
        self.normalization = LevelNorm(features if config.norm_per_bin else 1)
        self.recurrent_stack = RecurrentStack(
            features, config.hidden, config.layers, config.dropout, config.cell
        )

    def transform(self, wave: Tensor) -> Tensor:
        """Return the spectrum ``(..., F, N)`` of ``wave`` ``(..., T)``; N = 1 + ceil(T / hop).

        Zeros fill the last hop, and make waves longer that are too short to be reflected.
        """
        samples = max(wave.shape[-1], self.n_fft // 2 + 1)
        padded = functional.pad(wave, (0, samples + -samples % self.hop - wave.shape[-1]))
        return stft(padded, self.n_fft, self.hop, window=self._window(wave))

    def restore(self, spectrum: Tensor, samples: int) -> Tensor:
        """Return the wave ``(..., T)`` of ``spectrum`` ``(..., F, N)``; T = ``samples``."""
        whole = (spectrum.shape[-1] - 1) * self.hop
        window = self._window(spectrum)
        return istft(spectrum, self.n_fft, self.hop, whole, window=window)[..., :samples]

    def to_bands(self, magnitudes: Tensor) -> Tensor:
        """Return ``magnitudes`` ``(..., F, N)`` as input of the layers: ``(..., M, N)``.

        The magnitude of a band is the weighted mean of its bins.
        """
        if not self.bands.numel():
            return magnitudes
        with torch.autocast(magnitudes.device.type, enabled=False):
            return (self.bands / self.bands.sum(1, keepdim=True)) @ magnitudes.float()

    def to_bins(self, masks: Tensor) -> Tensor:
        """Return ``masks`` ``(..., M, N)`` for the bins: ``(..., F, N)``."""
        if not self.bands.numel():
            return masks
        with torch.autocast(masks.device.type, enabled=False):
            return (self.bands / self.bands.sum(0)).T @ masks.float()

    def levels(self, magnitudes: Tensor) -> Tensor:
        """Return levels ``(B, N, M C)`` in dB of ``magnitudes`` ``(B, C, M, N)``, at least -80 dB.

        A constant signal of 1 has 0 dB, a sine of amplitude 1 has -6 dB.
        """
        scaled = magnitudes / self._window(magnitudes).sum()
        levels = 10 * scaled.square().clamp(min=POWER_FLOOR).log10()
        return levels.permute(0, 3, 2, 1).flatten(2)

    def encode(self, mix: Tensor) -> tuple[Tensor, Tensor]:
        """Return the spectrum ``(B, C, F, N)`` of ``mix`` ``(B, C, T)`` and its states.

        The states ``(B, N, H)`` are the output of the BLSTM layers for the levels.
        """
        spectrum = self.transform(mix.float())
        levels = self.normalization(self.levels(self.to_bands(spectrum.abs())))
        return spectrum, self.recurrent_stack(levels)

    def outputs(
        self, masks: Tensor, spectrum: Tensor, states: Tensor, samples: int
    ) -> dict[str, Tensor]:
        """Return ``masks``, ``magnitudes`` ``(B, S, C, F, N)`` and ``sources`` ``(B, S, C, T)``.

        They result from applying ``masks`` ``(B, S, C, M, N)`` to ``spectrum`` (B, C, F, N);
        T = samples. The ``features`` ``(B, H, N)`` are the ``states`` ``(B, N, H)``.
        """
        masks = self.to_bins(masks)
        return {
            "sources": self.restore(masks * spectrum[:, None], samples),
            "masks": masks,
            "magnitudes": masks * spectrum[:, None].abs(),
            "features": states.mT,
        }

    def _window(self, like: Tensor) -> Tensor:
        return torch.hann_window(self.n_fft, device=like.device).sqrt()
