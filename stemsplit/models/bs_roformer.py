"""BS-RoFormer: adjacent bands, narrow at the bottom and wide at the top.

W.-T. Lu, J.-C. Wang, Q. Kong, Y.-N. Hung 2023, "Music Source Separation with Band-Split RoPE
Transformer", arXiv:2309.02612.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, pairwise

from stemsplit.models.config import Count
from stemsplit.models.roformer import Roformer, RoformerConfig

#: Bins of each of the 62 bands, for windows of 2048 samples at 44.1 kHz: all 1025. Source: the
#: configurations of the published checkpoints.
FREQS_PER_BANDS = (
    *(24 * (2,)),
    *(12 * (4,)),
    *(8 * (12,)),
    *(8 * (24,)),
    *(8 * (48,)),
    *(128, 129),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BSRoformerConfig(RoformerConfig):
    """Configuration of a BS-RoFormer.

    The defaults are those of ``model_bs_roformer_ep_317_sdr_12.9755``, by viperx; the paper's own
    networks have a ``dim`` of 384 and a ``depth`` of 6, 9 or 12.
    """

    dim: Count = 512
    freqs_per_bands: tuple[int, ...] = FREQS_PER_BANDS

    def validate(self) -> None:
        """Raise ``ValueError`` for values that are incompatible with each other."""
        RoformerConfig.validate(self)
        if min(self.freqs_per_bands, default=0) < 1 or sum(self.freqs_per_bands) != self.bins:
            total = sum(self.freqs_per_bands)
            raise ValueError(f"freqs_per_bands have {total} bins, the spectrogram {self.bins}")


class BSRoformer(Roformer):
    """Waveform to waveform through complex masks on adjacent bands."""

    Config = BSRoformerConfig

    def __init__(self, config: BSRoformerConfig) -> None:
        edges = accumulate(config.freqs_per_bands, initial=0)
        super().__init__(config, list(pairwise(edges)), norm_each=False)
