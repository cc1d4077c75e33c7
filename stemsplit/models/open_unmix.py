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
from itertools import pairwise
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
from stemsplit.models.spectrograms import istft, magnitudes, stft, stft_in_parts
from stemsplit.models.wiener import EXCERPT, wiener

DROPOUT = 0.4  # between the layers of the BLSTM
#: The least deviation of the input's magnitudes in a bin, relative to that of the largest.
LEAST_DEVIATION = 1e-4
#: Pieces of a segment that the BLSTM processes as a batch, which then reads its weights once for a
#: frame of each. More are not faster.
PIECES = 3
#: Frames that successive pieces share: 7 s. Half of them are taken from each piece.
SHARED = EXCERPT
#: Frames from which on pieces are faster than the whole.
LEAST_CUT = 5 * SHARED


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
        return self.decode(self.encode(self.embed(magnitudes)), magnitudes)

    def embed(self, magnitudes: Tensor) -> Tensor:
        """Return what `encode` needs of ``magnitudes`` (N, B, C, F), some or all: ``(N, B, H)``.

        As many values as the BLSTM has, H.
        """
        frames, batch = magnitudes.shape[:2]
        x = (magnitudes[..., : self.input_bins] + self.input_mean) * self.input_scale
        return torch.tanh(self.bn1(self.fc1(x.reshape(frames * batch, -1)))).view(frames, batch, -1)

    def encode(self, x: Tensor) -> Tensor:
        """Return what `decode` needs to know of all of the embedded ``x``: ``(N, B, H)``."""
        context = self.lstm(x)[0] if self.training else _in_pieces(self.lstm, x)
        joined = torch.cat([x, context], dim=-1).flatten(0, 1)
        return functional.relu(self.bn2(self.fc2(joined))).view(x.shape)

    def decode(self, encoded: Tensor, magnitudes: Tensor) -> Tensor:
        """Return magnitudes ``(N, B, C, F)`` fp32 of the source in ``magnitudes``, some or all."""
        x = self.bn3(self.fc3(encoded.flatten(0, 1))).float().view(magnitudes.shape)
        return torch.addcmul(self.output_mean, x, self.output_scale).relu() * magnitudes


class OpenUnmix(SeparationModel):
    """A `Target` for each source, and the Wiener filter over all.

    The reference runs its BLSTM over a whole song. Here it runs on segments of 56 s, which overlap
    by 7 s and are cross-faded, so that memory does not grow with the song. Every segment starts at
    an excerpt of the filter.

    Compared with the BLSTM over the whole song, with fresh weights, the difference is below the
    stems by 62 dB for 78 s of one song and for 240 s of another. With an overlap of 14 s, which
    takes a sixth more time, it was 88 and 67 dB. Songs of up to 56 s are one segment; the pieces of
    it that the BLSTM processes at once (`PIECES`) make a difference of 142 dB.
    """

    Config = OpenUnmixConfig
    overlap = 0.125
    any_length = True

    def __init__(self, config: OpenUnmixConfig) -> None:
        super().__init__(config)
        self.settings = config
        self.alignment = EXCERPT * config.hop  # samples of an excerpt of the filter
        count = len(config.sources) - config.residual
        self.targets = nn.ModuleList(Target(config) for _ in range(count))

    def forward(self, mix: Tensor) -> Tensor:
        """Return the sources ``(B, S, C, T)`` of ``mix`` ``(B, C, T)``.

        All but the BLSTM is done excerpt by excerpt, so that spectra take less memory, and are
        still in the cache of a core when they become waves. For that, the STFT, a hundredth of the
        time, is computed twice.
        """
        spectra = (spectrum for spectrum, _ in self._excerpts(mix))
        return self._restore(spectra, mix.shape[-1])

    def training_outputs(self, mix: Tensor) -> dict[str, Tensor]:
        """Return ``sources`` (B, S, C, T), and ``magnitudes`` (B, S, C, F, N) of the targets.

        The published networks were trained with the squared distance of ``magnitudes`` to those of
        the stems, without the filter; in training, ``sources`` are therefore not filtered.
        """
        spectra, estimated = zip(*self._excerpts(mix), strict=True)
        sources = self._restore(spectra, mix.shape[-1])
        return {"sources": sources, "magnitudes": torch.cat(estimated, dim=-1)}

    def _encode(self, mix: Tensor) -> list[Tensor]:
        """Return what each target's `Target.decode` needs to know of ``mix`` ``(B, C, T)``."""
        targets = self._targets()
        embedded = [
            [target.embed(_frames(spectrum)) for target in targets]
            for spectrum in self._spectra(mix)
        ]
        return [
            target.encode(torch.cat(parts))
            for target, parts in zip(targets, zip(*embedded, strict=True), strict=True)
        ]

    def _excerpts(self, mix: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield spectra of the sources, and magnitudes ``(B, S, C, F, n)`` of the targets.

        They are of excerpts of ``mix`` ``(B, C, T)``.
        """
        encoded = self._encode(mix)
        start = 0
        for spectrum in self._spectra(mix):
            frames = _frames(spectrum)
            excerpt = slice(start, start := start + len(frames))
            pairs = zip(self._targets(), encoded, strict=True)
            estimated = torch.stack(
                [target.decode(hidden[excerpt], frames) for target, hidden in pairs], dim=2
            ).permute(1, 2, 3, 4, 0)
            separated = wiener(
                estimated,
                spectrum,
                iterations=0 if self.training else self.settings.iterations,
                residual=self.settings.residual,
            )
            yield separated, estimated

    @torch.no_grad()
    def adapt_to(self, mix: Tensor) -> None:
        """Whiten the input by the magnitudes of ``mix`` ``(B, C, T)``, as the reference does."""
        levels = self.transform(mix).abs().transpose(2, 3).flatten(0, 2)
        deviation, mean = torch.std_mean(levels, dim=0)
        # Bins above the highest frequency of lossy files must not become noise.
        deviation = deviation.clamp(min=LEAST_DEVIATION * float(deviation.max()) or 1.0)
        for target in self._targets():
            target.input_mean.copy_(-mean[: target.input_bins])
            target.input_scale.copy_(deviation[: target.input_bins].reciprocal())

    def transform(self, wave: Tensor) -> Tensor:
        """Return the spectrum ``(..., F, N)`` of ``wave`` ``(..., T)``."""
        return stft(self._extended(wave), self.settings.n_fft, self.settings.hop)

    def _extended(self, wave: Tensor) -> Tensor:
        """Return ``wave`` ``(..., T)`` with the least that can be reflected at its ends."""
        missing = max(0, self.settings.n_fft // 2 + 1 - wave.shape[-1])
        return functional.pad(wave.float(), (0, missing)) if missing else wave.float()

    def _targets(self) -> list[Target]:
        return [cast(Target, target) for target in self.targets]

    def _spectra(self, mix: Tensor) -> Iterator[Tensor]:
        """Yield spectra ``(B, C, F, n)`` of consecutive excerpts of ``mix`` ``(B, C, T)``.

        In training, whose norms take the statistics of all frames, there is one excerpt.
        """
        size, hop = self.settings.n_fft, self.settings.hop
        wave = self._extended(mix)
        return stft_in_parts(wave, size, hop, None if self.training else EXCERPT)

    def _restore(self, parts: Iterable[Tensor], samples: int) -> Tensor:
        """Return the waves ``(B, S, C, T)``, T = ``samples``, of consecutive parts of spectra."""
        return istft(parts, self.settings.n_fft, self.settings.hop, samples)


def _in_pieces(lstm: nn.LSTM, x: Tensor) -> Tensor:
    """Return the output ``(N, B, H)`` of ``lstm`` for ``x`` ``(N, B, H)``, from `PIECES` of it."""
    frames = len(x)
    if frames < LEAST_CUT:
        whole: Tensor = lstm(x)[0]
        return whole
    size = -(-(frames + (PIECES - 1) * SHARED) // PIECES)
    starts = [number * (frames - size) // (PIECES - 1) for number in range(PIECES)]
    outputs = lstm(torch.cat([x[start : start + size] for start in starts], dim=1))[0]
    # From one piece to the next in the middle of what they share.
    joins = [(before + size + after) // 2 for before, after in pairwise(starts)]
    kept = zip(outputs.chunk(PIECES, dim=1), starts, (0, *joins), (*joins, frames), strict=True)
    return torch.cat([output[begin - start : end - start] for output, start, begin, end in kept])


def _frames(spectrum: Tensor) -> Tensor:
    """Return the magnitudes ``(n, B, C, F)`` of ``spectrum`` ``(B, C, F, n)``."""
    return magnitudes(spectrum.permute(3, 0, 1, 2)).contiguous()
