"""What BS-RoFormer and Mel-Band RoFormer share: transformers alternating along time and bands.

The spectrogram is split into bands, each band of a frame becomes one vector, transformers with
rotary positions run over the frames of each band and over the bands of each frame, and a small
network per band and source turns the vectors into complex masks. W.-T. Lu, J.-C. Wang, Q. Kong,
Y.-N. Hung 2023, "Music Source Separation with Band-Split RoPE Transformer", arXiv:2309.02612.

The names of the weights are those of the checkpoints that the community publishes. ``K`` is the
number of bands, ``D`` the width of a vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from stemsplit.models.base import SeparationModel
from stemsplit.models.config import (
    CheckedConfig,
    Count,
    Even,
    Rate,
    Segment,
    Share,
    Sources,
    WindowLength,
    require_hop,
)
from stemsplit.models.operators import Linear
from stemsplit.models.pieces import cuts
from stemsplit.models.spectrograms import istft, stft
from stemsplit.types import Window

ROTARY_BASE = 10_000.0
FEED_FORWARD_EXPANSION = 4  # width of the feed-forward part over D
#: Vectors that go through a transformer at a time on a CPU: few enough for the intermediate values,
#: 4 D per vector, to stay in the cache, but enough for efficient matrix products.
BLOCK_VECTORS = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class RoformerConfig(CheckedConfig):
    """Configuration of both networks, except for their bands.

    The defaults are what the published checkpoints have in common.
    """

    sources: Sources = ("vocals",)
    sample_rate: Rate = 44_100  # Hz
    audio_channels: Count = 2
    segment: Segment = 352_800  # samples: 8 s
    standardised: bool = False  # the song; no known published network needs it
    dim: Count = 384  # width D of the vectors
    depth: Count = 12  # pairs of transformers, along time and along bands
    time_transformer_depth: Count = 1  # layers of each transformer along time
    freq_transformer_depth: Count = 1  # and of each along bands
    heads: Count = 8
    dim_head: Even = 64
    attn_dropout: Share = 0.0
    ff_dropout: Share = 0.0
    n_fft: WindowLength = 2048  # samples of the STFT window
    hop_length: Count = 441  # samples: 10 ms
    mask_layers: Count = 2  # linear layers of a mask estimator
    mask_expansion: Count = 4  # width of its hidden layers over D
    #: Whether the lowest bin (DC) is silent in every source, as in the program with which the
    #: community trains and runs these networks; the paper does not mention it.
    zero_dc: bool = True
    #: Whether the outputs of all earlier pairs of transformers are added to the input of each pair.
    skip_connection: bool = False

    def validate(self) -> None:
        """Raise ``ValueError`` for values that are incompatible with each other."""
        require_hop(self.hop_length, self.n_fft)

    @property
    def bins(self) -> int:
        """Rows of the spectrogram."""
        return self.n_fft // 2 + 1


class Roformer(SeparationModel):
    """Either network. ``bands`` are ranges of bins (first, and first not in it), low to high."""

    #: How the community runs these networks: two segments over every sample, a short fade.
    overlap = 0.5
    window: Window = "fade"

    def __init__(
        self, config: RoformerConfig, bands: Sequence[tuple[int, int]], *, norm_each: bool
    ) -> None:
        """With ``norm_each``, every transformer ends with a norm; otherwise only the last."""
        super().__init__(config, channels=config.audio_channels)
        self.settings = config
        self.standardised = config.standardised

        def transformer(depth: int) -> Transformer:
            return Transformer(config, depth, final_norm=norm_each)

        self.layers = nn.ModuleList(
            nn.ModuleList(
                [
                    transformer(config.time_transformer_depth),
                    transformer(config.freq_transformer_depth),
                ]
            )
            for _ in range(config.depth)
        )
        self.final_norm = nn.Identity() if norm_each else RMSNorm(config.dim)
        # Real and imaginary part of each channel and bin.
        values = 2 * config.audio_channels
        sizes = [values * (stop - start) for start, stop in bands]
        self.band_split = BandSplit(config.dim, sizes)
        self.mask_estimators = nn.ModuleList(MaskEstimator(config, sizes) for _ in config.sources)
        # The concatenated bins of all bands, and how many bands each bin is in.
        bin_of = [bin for start, stop in bands for bin in range(start, stop)]
        counts = [float(bin_of.count(bin)) for bin in range(config.bins)]
        self.bin_of: Tensor
        self.bands_of_bin: Tensor
        self.register_buffer("bin_of", torch.tensor(bin_of), persistent=False)
        self.register_buffer("bands_of_bin", torch.tensor(counts), persistent=False)

    def forward(self, mix: Tensor) -> Tensor:
        """Return the sources ``(B, S, C, T)`` of ``mix`` ``(B, C, T)``, for any T.

        A mix shorter than the window of the STFT is padded with zeros at the end.
        """
        n_fft, hop_length = self.settings.n_fft, self.settings.hop_length
        samples = mix.shape[-1]
        wave = functional.pad(mix.float(), (0, max(0, n_fft - samples)))
        spectrum = stft(wave, n_fft, hop_length)
        masked = self._masks(spectrum) * spectrum[:, None]
        if self.settings.zero_dc:
            masked = functional.pad(masked[..., 1:, :], (0, 0, 1, 0))
        return istft(masked, n_fft, hop_length, wave.shape[-1])[..., :samples]

    def _masks(self, spectrum: Tensor) -> Tensor:
        """Return complex masks ``(B, S, C, F, N)`` for ``spectrum`` ``(B, C, F, N)``."""
        batch, channels, bins, frames = spectrum.shape
        parts = torch.view_as_real(spectrum).permute(0, 3, 2, 1, 4)
        x = self.band_split(parts[:, :, self.bin_of].flatten(2))
        x = self.final_norm(self._transform(x))
        masks = torch.stack([estimate(x) for estimate in self.mask_estimators], dim=1)
        # (B, S, N, bins of all bands, C, 2); a bin in several bands gets the mean of their masks.
        masks = masks.float().view(*masks.shape[:-1], -1, channels, 2)
        total = masks.new_zeros(batch, len(self.sources), frames, bins, channels, 2)
        total = total.index_add(3, self.bin_of, masks) / self.bands_of_bin[:, None, None]
        return torch.view_as_complex(total.permute(0, 1, 4, 3, 2, 5).contiguous())

    def _transform(self, x: Tensor) -> Tensor:
        """Return ``(B, N, K, D)`` for ``x`` ``(B, N, K, D)``, after all transformers."""
        earlier: Tensor | None = None
        for pair in self.layers:
            along_time, along_bands = pair.children()
            if earlier is not None:
                x = x + earlier
            x = map_sequences(along_time, x.transpose(1, 2)).transpose(1, 2)
            x = map_sequences(along_bands, x)
            if self.settings.skip_connection:
                # A copy, because x may be overwritten.
                earlier = x.clone() if earlier is None else earlier + x
        return x


def map_sequences(transformer: nn.Module, x: Tensor) -> Tensor:
    """Return ``x`` ``(B, M, N, D)`` with each of its B * M sequences of N vectors transformed.

    On a CPU without gradients, this is done in place, some sequences at a time.
    """
    if not cuts(x):
        transformed: Tensor = transformer(x.flatten(0, 1))
        return transformed.view_as(x)
    for item in x:
        for sequences in torch.split(item, max(1, BLOCK_VECTORS // x.shape[2])):
            sequences.copy_(transformer(sequences))
    return x


class RMSNorm(nn.Module):
    """Scales every vector to length sqrt(D), times a learnt factor per value; in fp32."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(..., D)`` fp32 for ``x`` ``(..., D)``; 0 stays 0."""
        # An epsilon on the square under the root, so small that it only affects silence.
        return functional.rms_norm(x.float(), self.gamma.shape, self.gamma, eps=1e-24)


class BandSplit(nn.Module):
    """Turns the real and imaginary parts of the bins of each band of a frame into a vector."""

    def __init__(self, width: int, sizes: Sequence[int]) -> None:
        super().__init__()
        self.sizes = list(sizes)
        self.to_features = nn.ModuleList(
            nn.Sequential(RMSNorm(size), Linear(size, width)) for size in sizes
        )

    def forward(self, parts: Tensor) -> Tensor:
        """Return ``(B, N, K, D)`` fp32 for ``parts`` ``(B, N, values of all bands)``."""
        bands = zip(self.to_features, torch.split(parts, self.sizes, dim=-1), strict=True)
        # In fp32 from here on: the outputs of the transformers are added to it.
        return torch.stack([to_feature(band) for to_feature, band in bands], dim=2).float()


class MaskEstimator(nn.Module):
    """The mask of one source: a separate network per band, ending in a gated linear unit."""

    def __init__(self, config: RoformerConfig, sizes: Sequence[int]) -> None:
        super().__init__()
        hidden = [config.dim * config.mask_expansion] * (config.mask_layers - 1)
        self.to_freqs = nn.ModuleList(
            nn.Sequential(_build_mlp([config.dim, *hidden, 2 * size]), nn.GLU(dim=-1))
            for size in sizes
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the mask ``(B, N, values of all bands)`` of ``x`` ``(B, N, K, D)``."""
        bands = zip(self.to_freqs, x.unbind(2), strict=True)
        return torch.cat([to_mask(band) for to_mask, band in bands], dim=-1)


def _build_mlp(widths: Sequence[int]) -> nn.Sequential:
    """Return linear layers from each of ``widths`` to the next, with tanh between them."""
    layers: list[nn.Module] = []
    for inside, outside in pairwise(widths):
        layers += [nn.Tanh(), Linear(inside, outside)]
    return nn.Sequential(*layers[1:])


class Transformer(nn.Module):
    """Pre-norm layers of attention and feed-forward over sequences."""

    def __init__(self, config: RoformerConfig, depth: int, *, final_norm: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.ModuleList([Attention(config), FeedForward(config)]) for _ in range(depth)
        )
        self.norm = RMSNorm(config.dim) if final_norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(B, N, D)`` fp32 for ``x`` ``(B, N, D)`` fp32."""
        for layer in self.layers:
            attend, feed_forward = layer.children()
            x = x + attend(x)
            x = x + feed_forward(x)
        normalised: Tensor = self.norm(x)
        return normalised


class FeedForward(nn.Module):
    """Norm, linear layer to four times the width, GELU, linear layer back."""

    def __init__(self, config: RoformerConfig) -> None:
        super().__init__()
        hidden = FEED_FORWARD_EXPANSION * config.dim
        self.net = nn.Sequential(
            RMSNorm(config.dim),
            Linear(config.dim, hidden),
            nn.GELU(),
            nn.Dropout(config.ff_dropout),
            Linear(hidden, config.dim),
            nn.Dropout(config.ff_dropout),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(B, N, D)`` for ``x`` ``(B, N, D)``."""
        fed: Tensor = self.net(x)
        return fed


class Attention(nn.Module):
    """Attention with rotary positions, whose heads are gated by the query's vector."""

    def __init__(self, config: RoformerConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.dropout = config.attn_dropout
        inner = config.heads * config.dim_head
        self.norm = RMSNorm(config.dim)
        self.to_qkv = Linear(config.dim, 3 * inner, bias=False)
        self.to_gates = Linear(config.dim, config.heads)
        self.to_out = nn.Sequential(
            Linear(inner, config.dim, bias=False), nn.Dropout(config.attn_dropout)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(B, N, D)`` for ``x`` ``(B, N, D)``."""
        x = self.norm(x)
        qkv = self.to_qkv(x).view(*x.shape[:-1], 3, self.heads, -1)
        query, key = rotate(qkv[:, :, :2]).transpose(1, 3).unbind(2)
        value = qkv[:, :, 2].transpose(1, 2)
        y = functional.scaled_dot_product_attention(
            query, key, value, dropout_p=self.dropout if self.training else 0.0
        )
        gates = self.to_gates(x).sigmoid()[..., None]
        attended: Tensor = self.to_out((y.transpose(1, 2) * gates).flatten(2))
        return attended


def rotate(x: Tensor) -> Tensor:
    """Return ``x`` ``(B, N, ..., D)``, its pairs of values rotated by an angle that grows with N.

    The product of two rotated vectors depends only on their distance. Computed in fp32, returned in
    the type of ``x``. Source: J. Su et al. 2021, "RoFormer", arXiv:2104.09864.
    """
    turns = rotary_turns(x.shape[1], x.shape[-1], x.device)
    turns = turns.view(len(turns), *[1] * (x.dim() - 3), -1)
    pairs = torch.view_as_complex(x.float().view(*x.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * turns).flatten(-2).to(x.dtype)


@lru_cache(maxsize=4)
@torch.inference_mode(False)
def rotary_turns(positions: int, width: int, device: torch.device) -> Tensor:
    """Return unit complex numbers ``(positions, width / 2)``, the rotations of the pairs."""
    phase = torch.arange(positions, device=device)[:, None] * rotary_frequencies(width).to(device)
    return torch.polar(torch.ones_like(phase), phase)


def rotary_frequencies(width: int) -> Tensor:
    """Return the angles ``(width / 2,)`` in radians from one position to the next, in fp32."""
    return 1.0 / ROTARY_BASE ** (torch.arange(0, width, 2).float() / width)
