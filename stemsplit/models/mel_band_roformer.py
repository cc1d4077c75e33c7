"""Mel-Band RoFormer: half-overlapping bands, whose widths follow the mel scale.

J.-C. Wang, W.-T. Lu, M. Won 2023, "Mel-Band RoFormer for Music Source Separation",
arXiv:2310.01809.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from stemsplit.models.config import Count
from stemsplit.models.mel import mel_edges
from stemsplit.models.roformer import Roformer, RoformerConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class MelBandRoformerConfig(RoformerConfig):
    """Configuration of a Mel-Band RoFormer.

    The defaults are those of ``MelBandRoformer.ckpt``, the vocals network by Kimberley Jensen.
    """

    depth: Count = 6
    num_bands: Count = 60
    mask_layers: Count = 3

    def validate(self) -> None:
        """Raise ``ValueError`` for values that are incompatible with each other."""
        RoformerConfig.validate(self)
        mel_bands(self.num_bands, self.n_fft, self.sample_rate)


class MelBandRoformer(Roformer):
    """Waveform to waveform through complex masks on bands of the mel scale, averaged."""

    Config = MelBandRoformerConfig

    def __init__(self, config: MelBandRoformerConfig) -> None:
        bands = mel_bands(config.num_bands, config.n_fft, config.sample_rate)
        super().__init__(config, bands, norm_each=True)


def mel_bands(count: int, n_fft: int, sample_rate: int) -> list[tuple[int, int]]:
    """Return ``count`` ranges of bins (start, stop), each from one mel edge to the next but one.

    A band has the bins for which a triangular mel filter is above 0; the lowest bin is in the first
    band and the highest in the last, although it is 0 there. Raises ``ValueError`` if a band would
    be empty, or a bin in none.
    """
    highest = n_fft // 2
    width = sample_rate / n_fft  # Hz from one bin to the next
    edges = [frequency / width for frequency in mel_edges(count, sample_rate)]
    bands = [
        (math.floor(low) + 1, math.ceil(high))
        for low, high in zip(edges[:-2], edges[2:], strict=True)
    ]
    bands[0] = (0, bands[0][1])
    # Set explicitly, because the last edge equals this bin except for rounding.
    bands[-1] = (bands[-1][0], highest + 1)
    starts, stops = zip(*bands, strict=True)
    if any(start >= stop for start, stop in bands) or any(
        start > stop for start, stop in zip(starts[1:], stops[:-1], strict=True)
    ):
        raise ValueError(f"{count} bands are too many for windows of {n_fft} samples")
    return bands
