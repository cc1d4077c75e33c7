"""Chimera: the same BLSTM layers learn masks and also embeddings that cluster by source.

Y. Luo, Z. Chen, J. R. Hershey, J. Le Roux, N. Mesgarani, "Deep clustering and conventional networks
for music separation: stronger together", ICASSP 2017; Z.-Q. Wang, J. Le Roux, J. R. Hershey,
"Alternative objective functions for deep clustering", ICASSP 2018 (Chimera++). Hyper-parameters
from the source separation tutorial (ISMIR 2020).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from stemsplit.models.config import Count
from stemsplit.models.recurrent import (
    EmbeddingActivation,
    EmbeddingHead,
    MaskHead,
    MaskingConfig,
    RecurrentSeparator,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChimeraConfig(MaskingConfig):
    """The tutorial's network: vocals, 11,079,599 parameters.

    Chimera++ has 600 cells in each direction, for 8 kHz in windows of 256 and hops of 64; its
    authors compare three kinds of masks. Luo's network for singing voice has 500 cells, for 16 kHz
    in windows of 1024 and hops of 256, as 150 bands of the mel scale.
    """

    embedding: Count = 20  # D
    embedding_activation: EmbeddingActivation = "sigmoid"  # before the length is 1


class Chimera(RecurrentSeparator):
    """Separates by masks; the embeddings are for the loss, and improve the masks."""

    Config = ChimeraConfig

    def __init__(self, config: ChimeraConfig) -> None:
        super().__init__(config)
        self.mask = MaskHead(config, self.states, self.bins)
        self.embedding = EmbeddingHead(
            self.states, self.bins, self.channels, config.embedding, config.embedding_activation
        )

    def forward(self, mix: Tensor) -> Tensor:
        """Return the sources ``(B, S, C, T)`` of ``mix`` ``(B, C, T)``; the same ``T``."""
        spectrum, states = self.encode(mix)
        return self.outputs(self.mask(states), spectrum, states, mix.shape[-1])["sources"]

    def training_outputs(self, mix: Tensor) -> dict[str, Tensor]:
        """Return ``sources`` (B, S, C, T), ``masks`` and ``magnitudes`` (B, S, C, F, N).

        Also the unit-length ``embeddings`` (B, C, M, N, D), for the loss of deep clustering.
        """
        spectrum, states = self.encode(mix)
        outputs = self.outputs(self.mask(states), spectrum, states, mix.shape[-1])
        return {**outputs, "embeddings": self.embedding(states)}
