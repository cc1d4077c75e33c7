"""TasNet: an LSTM that masks a learnt basis of short segments of the waveform.

Source: Luo, Mesgarani 2018, "TasNet: Time-Domain Audio Separation Network for Real-Time,
Single-Channel Speech Separation", arXiv:1711.00541. Its weights are unpublished.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn import functional

from stemsplit.models.base import SeparationModel
from stemsplit.models.config import (
    CheckedConfig,
    Count,
    Rate,
    Segment,
    Sources,
    at_least,
    multiple_of,
)

#: LSTM layers that each identity skip spans.
SKIPPED = 2
#: Keeps the gain of a silent segment, and the gradient through it, finite; far below one step of 16
#: bits.
EPSILON = 1e-8


@dataclass(frozen=True, slots=True, kw_only=True)
class TasNetConfig(CheckedConfig):
    """Configuration of a TasNet. The defaults are the paper's non-causal network.

    Its causal one is ``bidirectional = False`` with ``hidden = 1000``.
    """

    sources: Sources = ("speaker1", "speaker2")
    sample_rate: Rate = 8_000  # Hz
    segment: Segment = 80_000  # samples: 10 s, longer than the sentences it was evaluated on
    frame: Count = 40  # L, samples: 5 ms; frames do not overlap
    basis: Count = 500  # N, signals
    hidden: Count = 500  # units of an LSTM layer in each direction
    layers: Annotated[int, at_least(1), multiple_of(SKIPPED)] = 4
    bidirectional: bool = True


class TasNet(SeparationModel):
    """Gated encoder, layer norm, LSTM with identity skips, softmax over the sources, decoder.

    Mono, any T; longer inputs give the LSTM more context.
    """

    Config = TasNetConfig
    any_length = True

    def __init__(self, config: TasNetConfig) -> None:
        super().__init__(config, channels=1)
        self.frame = config.frame

        self.encoder = nn.Linear(config.frame, config.basis, bias=False)
        self.gate = nn.Linear(config.frame, config.basis, bias=False)
        self.norm = nn.LayerNorm(config.basis)
        outputs = config.hidden * (2 if config.bidirectional else 1)
        self.lstm = nn.ModuleList(
            nn.LSTM(
                config.basis if index == 0 else outputs,
                config.hidden,
                num_layers=SKIPPED,
                batch_first=True,
                bidirectional=config.bidirectional,
            )
            for index in range(config.layers // SKIPPED)
        )
        self.mask = nn.Linear(outputs, len(config.sources) * config.basis)
        self.decoder = nn.Linear(config.basis, config.frame, bias=False)

    @property
    def reach(self) -> tuple[int, int]:
        """How many frames before and after it a sample of the sources depends on, at most."""
        ahead = self.segment if self._config.bidirectional else self.frame - 1
        return self.segment, ahead

    def forward(self, mix: Tensor) -> Tensor:
        """Return the sources ``(B, S, 1, T)`` of ``mix`` ``(B, 1, T)``; any ``T``.

        Their sum is the decoded output of the unmasked weights, because masks sum to 1.
        """
        samples = mix.shape[-1]
        frames = functional.pad(mix.float(), (0, -samples % self.frame)).view(
            len(mix), -1, self.frame
        )
        # Frames are normalised to unit length, so that loud and soft ones count equally.
        gain = (frames.square().sum(-1, keepdim=True) + EPSILON).sqrt()
        frames = frames / gain
        weights = self.encoder(frames).relu() * self.gate(frames).sigmoid()  # (B, N, basis)
        masked = self._masks(weights) * weights[:, None].float()
        waves: Tensor = self.decoder(masked).float() * gain[:, None]
        return waves.flatten(2)[:, :, None, :samples]

    def _masks(self, weights: Tensor) -> Tensor:
        """Return ``(B, S, N, basis)`` fp32 for ``(B, N, basis)``; the sum over S is 1."""
        x = self.norm(weights.float())
        for index, block in enumerate(self.lstm):
            y, _ = block(x)
            x = y if index == 0 else x + y
        scores = self.mask(x).float().unflatten(-1, (len(self.sources), -1))
        return torch.softmax(scores, dim=2).transpose(1, 2)
