"""What networks of the Demucs family share besides convolutions: LSTM, attention, resampling.

Axes: ``B`` batch, ``C`` channels, ``T`` samples, ``F`` rows of frequency, ``N`` frames.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from stemsplit.models.layers import DConv
from stemsplit.models.lstm import run_lstm
from stemsplit.models.operators import Linear
from stemsplit.models.pieces import cuts

EPSILON = 1e-5
# The convolutions of the waveform networks: K and S of the papers.
KERNEL_SIZE = 8
STRIDE = 4
FREQUENCY_EMBEDDING_WEIGHT = 0.2
FREQUENCY_EMBEDDING_SCALE = 10.0

#: The recurrent part of a residual branch processes this many frames at a time, half overlapping.
LSTM_FRAMES = 200
ATTENTION_HEADS = 4
ATTENTION_DECAYS = 4
#: A frame's score for itself, so that it attends to other frames, if there are any.
SELF_SCORE = -100.0

# The filter of the published resampling networks (that of julius 0.2).
ZERO_CROSSINGS = 24
ROLL_OFF = 0.945  # of the lower of both Nyquist frequencies


def valid_length(samples: int, depth: int, *, lost: int, resampled: bool) -> int:
    """Return the smallest input length of at least ``samples`` that all strides divide.

    Each of ``depth`` decoder layers loses ``lost`` frames in its first convolution; if
    ``resampled``, the network runs at twice the rate of its input.
    """
    length = 2 * samples if resampled else samples
    for _ in range(depth):
        length = max(1, -(-(length - KERNEL_SIZE) // STRIDE) + 1) + lost
    for _ in range(depth):
        length = (length - 1) * STRIDE + KERNEL_SIZE
    return -(-length // 2) if resampled else length


def pad_evenly(wave: Tensor, length: int) -> Tensor:
    """Return ``wave`` ``(B, C, T)`` in the middle of ``length`` samples, zeros around it."""
    missing = length - wave.shape[-1]
    return functional.pad(wave, (missing // 2, missing - missing // 2))


def standardise(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return ``x`` ``(B, ...)`` at mean 0 and deviation 1 for each item, the mean, the deviation.

    The latter two are ``(B, 1, ...)``, the deviation unbiased. Silence stays silence.
    """
    std, mean = torch.std_mean(x, dim=tuple(range(1, x.dim())), keepdim=True)
    return (x - mean) / (EPSILON + std), mean, std


def unstandardise(x: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Return ``x`` ``(B, ...)`` at ``mean`` and ``std``, in fp32; nothing else may need ``x``."""
    x = x.float()
    return torch.addcmul(mean, x, std, out=x if cuts(x) else None)


def centre_trim(x: Tensor, length: int) -> Tensor:
    """Return the middle ``length`` values of the last axis of ``x``, rounded towards its start."""
    start = (x.shape[-1] - length) // 2
    return x[..., start : start + length]


class FrequencyEmbedding(nn.Module):
    """A learnt vector per row of frequency, so that convolutions can distinguish high from low.

    Source: Isik et al. 2020, "PoCoNet", arXiv:2008.04470.
    """

    def __init__(self, rows: int, channels: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(rows, channels)
        # Neighbours start with similar vectors: sums of those below, normalised to deviation 1.
        # Dividing by the scale here and multiplying in forward makes the embedding learn faster.
        weight = self.embedding.weight
        if weight.is_meta:  # weights are about to be loaded
            return
        with torch.no_grad():
            count = torch.arange(1, rows + 1, device=weight.device)[:, None]
            weight.copy_(weight.cumsum(0) / count.sqrt() / FREQUENCY_EMBEDDING_SCALE)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` ``(B, C, F, N)`` with each row's vector added."""
        vectors = self.embedding.weight.t()[:, :, None]
        return torch.add(x, vectors, alpha=FREQUENCY_EMBEDDING_WEIGHT * FREQUENCY_EMBEDDING_SCALE)


class BidirectionalLSTM(nn.Module):
    """A bidirectional LSTM over time, and a linear layer back to the number of input channels.

    Source: Défossez et al. 2019, "Music Source Separation in the Waveform Domain".
    """

    def __init__(self, channels: int, layers: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(channels, channels, layers, bidirectional=True)
        self.linear = Linear(2 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(B, C, N)`` for ``x`` ``(B, C, N)``."""
        projected: Tensor = self.linear(run_lstm(self.lstm, x.permute(2, 0, 1)))
        return projected.permute(1, 2, 0)


class ResidualLSTM(BidirectionalLSTM):
    """The recurrent part of a residual branch: two layers, on overlapping pieces of a long input.

    Each piece is `LSTM_FRAMES` long and starts half of that after the previous one; the middle half
    of each is kept, and the start of the first. Source: Défossez 2021, "Hybrid Spectrogram and
    Waveform Source Separation".
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, layers=2)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(B, C, N)``: ``x`` ``(B, C, N)`` and what the LSTM makes of it, added."""
        batch, channels, frames = x.shape
        if frames <= LSTM_FRAMES:
            return x + super().forward(x)
        step = LSTM_FRAMES // 2
        count = math.ceil(frames / step)
        padded = functional.pad(x, (0, (count + 1) * step - frames))
        pieces = padded.unfold(-1, LSTM_FRAMES, step).transpose(1, 2).flatten(0, 1)
        output = super().forward(pieces).view(batch, count, channels, LSTM_FRAMES)
        edge = step // 2
        middles = output[..., edge:-edge].transpose(1, 2).flatten(2)
        return x + torch.cat([output[:, 0, :, :edge], middles], dim=-1)[..., :frames]


class LocalAttention(nn.Module):
    """Attention over time without positions: distance is penalised by a slope chosen per frame.

    A frame's slope is a sum of ``ATTENTION_DECAYS`` decays of different steepness. No frame attends
    to itself. Source: Défossez 2021, as above.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.content = nn.Conv1d(channels, channels, 1)
        self.query = nn.Conv1d(channels, channels, 1)
        self.key = nn.Conv1d(channels, channels, 1)
        self.query_decay = nn.Conv1d(channels, ATTENTION_HEADS * ATTENTION_DECAYS, 1)
        self.proj = nn.Conv1d(channels, channels, 1)
        with torch.no_grad():  # Near the gentlest slope at first, to attend to the whole input.
            assert self.query_decay.bias is not None
            self.query_decay.weight.mul_(0.01)
            self.query_decay.bias.fill_(-2)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(B, C, N)``: ``x`` ``(B, C, N)`` and what it attends to, added."""
        content, weights = self._split(self.content(x)), self._weigh(x)
        attended = torch.matmul(content, weights.transpose(2, 3).to(content.dtype))
        projected: Tensor = self.proj(attended.flatten(1, 2))
        return x + projected

    def _weigh(self, x: Tensor) -> Tensor:
        """Return how much each frame attends to each: ``(B, heads, N, N attended to)`` fp32."""
        query, key = self._split(self.query(x)), self._split(self.key(x))
        scores = torch.matmul(query.transpose(2, 3), key).float() / math.sqrt(key.shape[2])
        decays = self._split(self.query_decay(x)).float().sigmoid() / 2
        steepness = torch.arange(1, ATTENTION_DECAYS + 1, device=x.device) / ATTENTION_DECAYS**0.5
        slope = (decays * steepness[:, None]).sum(2)
        position = torch.arange(x.shape[-1], device=x.device, dtype=torch.float32)
        distance = (position[:, None] - position).abs()
        scores = torch.addcmul(scores, slope[..., None], distance, value=-1)
        scores.diagonal(dim1=2, dim2=3).fill_(SELF_SCORE)
        return scores.softmax(dim=3)

    def _split(self, x: Tensor) -> Tensor:
        """Return ``(B, heads, D, N)`` for ``x`` ``(B, heads * D, N)``."""
        return x.view(x.shape[0], ATTENTION_HEADS, -1, x.shape[-1])


def resample(wave: Tensor, from_rate: int, to_rate: int) -> Tensor:
    """Return ``wave`` ``(B, C, T)`` at ``to_rate`` instead of ``from_rate``, in fp32.

    The result has T * to_rate / from_rate samples, rounded down; the rates are small numbers
    without a common factor. Uses a windowed sinc; the wave is extended by its end values.
    """
    with torch.autocast(wave.device.type, enabled=False):
        kernels = _sinc_kernels(from_rate, to_rate, wave.device)
        width = (kernels.shape[-1] - from_rate) // 2
        batch, channels, samples = wave.shape
        rows = wave.float().reshape(batch * channels, 1, samples)
        padded = functional.pad(rows, (width, width + from_rate), mode="replicate")
        phases = functional.conv1d(padded, kernels, stride=from_rate)
        resampled = phases.transpose(1, 2).reshape(batch, channels, -1)
    return resampled[..., : samples * to_rate // from_rate]


@lru_cache(maxsize=4)
@torch.inference_mode(False)
def _sinc_kernels(from_rate: int, to_rate: int, device: torch.device) -> Tensor:
    """Return a filter for each of ``to_rate`` positions between samples: ``(to_rate, 1, taps)``."""
    rate = min(from_rate, to_rate) * ROLL_OFF
    width = math.ceil(ZERO_CROSSINGS * from_rate / rate)
    tap = torch.arange(-width, width + from_rate, dtype=torch.float64) / from_rate
    position = torch.arange(to_rate, dtype=torch.float64) / to_rate
    # In units of zero crossings from the position.
    crossing = ((tap - position[:, None]) * rate).clamp(-ZERO_CROSSINGS, ZERO_CROSSINGS)
    window = torch.cos(crossing * math.pi / ZERO_CROSSINGS / 2) ** 2
    kernels = torch.sinc(crossing) * window
    return (kernels / kernels.sum(1, keepdim=True)).float()[:, None].to(device)


class _Branching(Protocol):
    """The settings of residual branches in a configuration."""

    @property
    def dconv_depth(self) -> int: ...
    @property
    def dconv_comp(self) -> int: ...
    @property
    def dconv_attn(self) -> int: ...
    @property
    def dconv_lstm(self) -> int: ...


def require_branches(config: _Branching, index: int, channels: int) -> None:
    """Raise ``ValueError`` unless branches of layer ``index`` have channels, and whole heads."""
    if not 1 <= config.dconv_comp <= channels:
        raise ValueError(f"dconv_comp must be 1 to {channels}, not {config.dconv_comp}")
    hidden = channels // config.dconv_comp
    if index >= config.dconv_attn and hidden % ATTENTION_HEADS:
        raise ValueError(
            f"branches of layer {index} have {hidden} channels, which do not divide into "
            f"{ATTENTION_HEADS} heads"
        )


def residual_branches(config: _Branching, index: int, channels: int, init: float) -> DConv:
    """Return the residual branches of layer ``index``, with LSTM and attention in deep layers.

    ``init`` is their initial scale.
    """

    def inside(hidden: int) -> list[nn.Module]:
        lstm = [ResidualLSTM(hidden)] if index >= config.dconv_lstm else []
        attention = [LocalAttention(hidden)] if index >= config.dconv_attn else []
        return [*lstm, *attention]

    return DConv(
        channels,
        depth=config.dconv_depth,
        compression=config.dconv_comp,
        init=init,
        inside=inside,
    )
