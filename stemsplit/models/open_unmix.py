"""Open-Unmix: a BLSTM per stem estimates magnitudes, and a Wiener filter turns them into stems.

F.-R. Stöter, S. Uhlich, A. Liutkus, Y. Mitsufuji, "Open-Unmix - A Reference Implementation for
Music Source Separation", JOSS 4 (2019). The names of the weights of one target are those of the
published files.

Axes: ``B`` batch, ``S`` sources, ``C`` channels, ``T`` samples, ``F`` bins, ``N`` frames of the
spectrogram.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from stemsplit.models.base import SeparationModel
from stemsplit.models.config import (
    CheckedConfig,
    Count,
    Even,
    FFTLength,
    Iterations,
    Rate,
    Segment,
    Sources,
    require_hop,
)
from stemsplit.models.operators import Linear
from stemsplit.models.spectrograms import istft, stft
from stemsplit.models.wiener import EXCERPT, wiener

DROPOUT = 0.4  # between the layers of the BLSTM
#: The least deviation of the input's magnitudes in a bin, relative to that of the largest.
LEAST_DEVIATION = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenUnmixConfig(CheckedConfig):
    """The published ``umx`` and ``umxhq``; ``umxl`` has a ``hidden`` of 1024."""

    #: With ``residual``, the last source is the mixture minus the previous ones.
    sources: Sources = ("vocals", "drums", "bass", "other")
    residual: bool = False
    sample_rate: Rate = 44_100  # Hz
    channels: Literal[1, 2] = 2
    #: T at a time: 8 excerpts of the Wiener filter, 56 s. See `OpenUnmix`.
    segment: Segment = 8 * EXCERPT * 1024
    n_fft: FFTLength = 4096  # samples of the window
    hop: Count = 1024
    bandwidth: Count = 16_000  # Hz, the highest frequency in the input of the networks
    hidden: Even = 512  # half of it in each direction of the BLSTM
    layers: Count = 3
    iterations: Iterations = 1  # of expectation maximisation; 0 keeps the phase of the mixture

    def validate(self) -> None:
        """Raise ``ValueError`` for values that are incompatible with each other."""
        require_hop(self.hop, self.n_fft)
        if (self.residual or self.iterations) and len(self.sources) < 2:
            raise ValueError("sources must name at least two sources for a filter, or a residual")

    @property
    def bins(self) -> int:
        """F of the spectrogram."""
        return self.n_fft // 2 + 1

    @property
    def input_bins(self) -> int:
        """Bins up to ``bandwidth``."""
        return min(self.bins, self.bandwidth * self.n_fft // self.sample_rate + 1)


class Target(nn.Module):
    """The magnitudes of one source from those of the mixture."""

    def __init__(self, config: OpenUnmixConfig) -> None:
        super().__init__()
        self.input_bins = config.input_bins
        hidden, channels, bins = config.hidden, config.channels, config.bins
        # Published weights contain the negative mean, and the inverse of the deviation.
        self.input_mean = nn.Parameter(torch.zeros(self.input_bins))
        self.input_scale = nn.Parameter(torch.ones(self.input_bins))
        self.output_mean = nn.Parameter(torch.ones(bins))
        self.output_scale = nn.Parameter(torch.ones(bins))
        self.fc1 = Linear(channels * self.input_bins, hidden, bias=False)
        self.bn1 = nn.BatchNorm1d(hidden)
        self.lstm = nn.LSTM(
            hidden,
            hidden // 2,
            config.layers,
            bidirectional=True,
            dropout=DROPOUT if config.layers > 1 else 0.0,
        )
        self.fc2 = Linear(2 * hidden, hidden, bias=False)
        self.bn2 = nn.BatchNorm1d(hidden)
        self.fc3 = Linear(hidden, channels * bins, bias=False)
        self.bn3 = nn.BatchNorm1d(channels * bins)

    def forward(self, magnitudes: Tensor) -> Tensor:
        """Return magnitudes ``(N, B, C, F)`` fp32 of the source in ``magnitudes``."""
        return self.decode(self.encode(magnitudes), magnitudes)

    def encode(self, magnitudes: Tensor) -> Tensor:
        """Return what `decode` needs to know of all of ``magnitudes`` (N, B, C, F): ``(N, B, H)``.

        As many values as the BLSTM has, H.
        """
        frames, batch = magnitudes.shape[:2]
        x = (magnitudes[..., : self.input_bins] + self.input_mean) * self.input_scale
        x = torch.tanh(self.bn1(self.fc1(x.reshape(frames * batch, -1))))
        context = self.lstm(x.view(frames, batch, -1))[0].view(frames * batch, -1)
        x = functional.relu(self.bn2(self.fc2(torch.cat([x, context], dim=-1))))
        return x.view(frames, batch, -1)

    def decode(self, encoded: Tensor, magnitudes: Tensor) -> Tensor:
        """Return magnitudes ``(N, B, C, F)`` fp32 of the source in ``magnitudes``, some or all."""
        x = self.bn3(self.fc3(encoded.flatten(0, 1))).float().view(magnitudes.shape)
        return torch.addcmul(self.output_mean, x, self.output_scale).relu() * magnitudes


class OpenUnmix(SeparationModel):
    """A `Target` for each source, and the Wiener filter over all.

    The reference runs its BLSTM over a whole song. Here it runs on segments of 56 s, which overlap
    by 14 s and are cross-faded, so that memory does not grow with the song. Every segment starts at
    an excerpt of the filter.

    Compared with the BLSTM over the whole song, with fresh weights, the difference is below the
    stems by: 153 dB for songs of 20 and 30 s, which are one segment; 63 to 77 dB for 78 s of three
    songs; 67 dB for 240 and 236 s of one song. With the BLSTM's weights doubled, which lengthens
    its memory: 62 to 74 dB for 78 s, 65 dB for 240 s. For the first 30 s, before the second segment
    starts, it is always 137 dB.
    """

    Config = OpenUnmixConfig
    overlap = 0.25
    any_length = True

    def __init__(self, config: OpenUnmixConfig) -> None:
        super().__init__(config)
        self.settings = config
        self.alignment = EXCERPT * config.hop  # samples of an excerpt of the filter
        count = len(config.sources) - config.residual
        self.targets = nn.ModuleList(Target(config) for _ in range(count))

    def forward(self, mix: Tensor) -> Tensor:
        """Return the sources ``(B, S, C, T)`` of ``mix`` ``(B, C, T)``.

        All but the BLSTM is done excerpt by excerpt, so that spectra of the sources take less
        memory, and are still in the cache of a core when they become waves.
        """
        excerpts = self._excerpts(self._transform(mix))
        return self._restore((spectrum for spectrum, _ in excerpts), mix.shape[-1])

    def training_outputs(self, mix: Tensor) -> dict[str, Tensor]:
        """Return ``sources`` (B, S, C, T), and ``magnitudes`` (B, S, C, F, N) of the targets.

        The published networks were trained with the squared distance of ``magnitudes`` to those of
        the stems, without the filter; in training, ``sources`` are therefore not filtered.
        """
        spectra, magnitudes = zip(*self._excerpts(self._transform(mix)), strict=True)
        sources = self._restore(spectra, mix.shape[-1])
        return {"sources": sources, "magnitudes": torch.cat(magnitudes, dim=-1)}

    @torch.no_grad()
    def adapt_to(self, mix: Tensor) -> None:
        """Whiten the input by the magnitudes of ``mix`` ``(B, C, T)``, as the reference does."""
        magnitudes = self._transform(mix).abs().transpose(2, 3).flatten(0, 2)
        deviation, mean = torch.std_mean(magnitudes, dim=0)
        # Bins above the highest frequency of lossy files must not become noise.
        deviation = deviation.clamp(min=LEAST_DEVIATION * float(deviation.max()) or 1.0)
        for target in self.targets:
            used = cast(Target, target).input_bins
            cast(Target, target).input_mean.copy_(-mean[:used])
            cast(Target, target).input_scale.copy_(deviation[:used].reciprocal())

    def _excerpts(self, mixture: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield spectra of the sources, and magnitudes ``(B, S, C, F, n)`` of the targets.

        They are of excerpts of ``mixture`` ``(B, C, F, N)``. In training, whose norms take the
        statistics of all frames, there is one excerpt.
        """
        frames = mixture.abs().permute(3, 0, 1, 2).contiguous()
        targets = [cast(Target, target) for target in self.targets]
        encoded = [target.encode(frames) for target in targets]
        for start in range(0, len(frames), len(frames) if self.training else EXCERPT):
            excerpt = slice(start, None if self.training else start + EXCERPT)
            estimates = [
                target.decode(hidden[excerpt], frames[excerpt])
                for target, hidden in zip(targets, encoded, strict=True)
            ]
            magnitudes = torch.stack([y.permute(1, 2, 3, 0) for y in estimates], dim=1)
            separated = wiener(
                magnitudes,
                mixture[..., excerpt],
                iterations=0 if self.training else self.settings.iterations,
                residual=self.settings.residual,
            )
            yield separated, magnitudes

    def _transform(self, mix: Tensor) -> Tensor:
        """Return the spectrum ``(B, C, F, N)`` of ``mix`` ``(B, C, T)``."""
        # The least that can be reflected at its ends.
        missing = max(0, self.settings.n_fft // 2 + 1 - mix.shape[-1])
        wave = functional.pad(mix.float(), (0, missing))
        return stft(wave, self.settings.n_fft, self.settings.hop)

    def _restore(self, parts: Iterable[Tensor], samples: int) -> Tensor:
        """Return the waves ``(B, S, C, T)``, T = ``samples``, of consecutive parts of spectra."""
        return istft(parts, self.settings.n_fft, self.settings.hop, samples)
