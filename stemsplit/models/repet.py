"""REPET-SIM: what repeats is the accompaniment, what does not is the voice.

Z. Rafii, B. Pardo, "Music/voice separation using the similarity matrix", ISMIR 2012. Every frame is
compared with all others; the median of the most similar ones models what repeats, because a voice
that sings something different each time is removed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor
from torch.nn import functional

from stemsplit.models.classical import SpectrogramConfig, SpectrogramSeparator
from stemsplit.models.config import Count, FFTLength, Segment, TwoSources, at_least

#: Frames whose neighbours are gathered at once: 64 of a minute of stereo take 30 MB.
BLOCK = 64
NORM_FLOOR = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class RepetSimConfig(SpectrogramConfig):
    """The values in section 3.1 of the paper, but windows are a power of two: 46 ms, not 40."""

    sources: TwoSources = ("vocals", "accompaniment")
    segment: Segment = 2_646_000  # frames of audio: 60 s, in which music must repeat
    n_fft: FFTLength = 2048
    hop: Count = 1024
    neighbours: Count = 100  # the most frames in a median
    similarity: float = 0.0  # the least cosine of a neighbour
    distance: Annotated[float, at_least(0)] = 1.0  # the least time between two neighbours, s
    cutoff: float = 100.0  # Hz; voices are not lower


class RepetSim(SpectrogramSeparator):
    """Masks each bin by the share that repeats; the rest is the voice."""

    Config = RepetSimConfig

    def __init__(self, config: RepetSimConfig) -> None:
        super().__init__(config)
        self.settings = config

    def analysis_window(self, device: torch.device) -> Tensor:
        """Return the window ``(n_fft,)`` of the paper: a Hamming window."""
        return torch.hamming_window(self.n_fft, device=device)

    def masks(self, magnitudes: Tensor) -> Tensor:
        """Return the shares ``(B, 2, C, F, N)``, which sum to 1, of ``magnitudes`` (B, C, F, N)."""
        repeating = torch.stack([self._repeating(song) for song in magnitudes])
        share = torch.where(magnitudes > 0, repeating / magnitudes, 0.5)
        lowest = int(self.settings.cutoff * self.n_fft / self.sample_rate) + 1
        share[:, :, :lowest] = 1.0
        return torch.stack([1 - share, share], dim=1)

    def _repeating(self, magnitudes: Tensor) -> Tensor:
        """Return the repeating part of ``magnitudes`` ``(C, F, N)``, at most as large as these."""
        found, similarity = self._neighbours(magnitudes)
        rows = magnitudes.movedim(-1, 0)
        medians = []
        for start in range(0, len(found), BLOCK):
            block = slice(start, start + BLOCK)
            absent = (similarity[block] < self.settings.similarity)[..., None, None]
            gathered = rows[found[block]].masked_fill(absent, torch.nan)
            medians.append(gathered.nanmedian(dim=1).values)
        return torch.minimum(torch.cat(medians).movedim(0, -1), magnitudes)

    def _neighbours(self, magnitudes: Tensor) -> tuple[Tensor, Tensor]:
        """Return the frames most similar to each of ``(C, F, N)``, and cosines: ``(N, k)`` each.

        Only the most similar frame in each neighbourhood counts, including the frame itself, so
        that a held note does not supply all neighbours. If there are fewer, the remaining cosines
        are -infinity.
        """
        frames = magnitudes.flatten(0, 1).T
        directions = frames / frames.norm(dim=1, keepdim=True).clamp(min=NORM_FLOOR)
        similarity = directions @ directions.T
        similarity.fill_diagonal_(1.0)  # also for silence, whose similarity is 0
        reach = round(self.settings.distance * self.sample_rate / self.hop)
        peaks = functional.max_pool1d(similarity[:, None], 2 * reach + 1, 1, reach)[:, 0]
        candidates = similarity.masked_fill(similarity < peaks, -torch.inf)
        count = min(self.settings.neighbours, len(frames))
        cosines, found = candidates.topk(count, dim=1)
        return found, cosines
