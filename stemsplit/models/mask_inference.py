"""Mask Inference: BLSTM layers that directly estimate each source's share of each bin.

H. Erdogan, J. R. Hershey, S. Watanabe, J. Le Roux, "Phase-sensitive and recognition-boosted speech
separation using deep recurrent neural networks", ICASSP 2015; Z.-Q. Wang, J. Le Roux,
J. R. Hershey, "Alternative objective functions for deep clustering", ICASSP 2018. Hyper-parameters
from the source separation tutorial (ISMIR 2020).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from stemsplit.models.recurrent import MaskHead, MaskingConfig, RecurrentSeparator


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskInferenceConfig(MaskingConfig):
    """The tutorial's network, with the defaults of `RecurrentConfig`: 7,990,459 parameters."""


class MaskInference(RecurrentSeparator):
    """Masks on the magnitudes of the mixture."""

    Config = MaskInferenceConfig

    def __init__(self, config: MaskInferenceConfig) -> None:
        super().__init__(config)
        self.mask = MaskHead(config, self.states, self.bins)

    def training_outputs(self, mix: Tensor) -> dict[str, Tensor]:
        """Return ``sources`` (B, S, C, T), ``masks`` and ``magnitudes`` (B, S, C, F, N).

        Magnitudes are those of the masked mixture, which the published network compares with the
        magnitudes of the true sources.
        """
        spectrum, states = self.encode(mix)
        return self.outputs(self.mask(states), spectrum, states, mix.shape[-1])
