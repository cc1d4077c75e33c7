"""The loss of remixed songs, of which a single source is known.

A. Défossez, N. Usunier, L. Bottou, F. Bach, "Demucs: deep extractor for music sources with extra
unlabeled data remixed", 2019. An excerpt of an unlabeled song in which one source is silent is
mixed with that source from a song with stems. The known source should come out as it went in, and
the sum of all others should be the excerpt. The second term is what keeps the other stems from
drifting, and must stay weak: it cannot tell them apart.

That the loss has these two terms, and λ = 1e-6, was written from memory of arXiv:1909.01174, which
could not be read here. Unverified are: the L1 distance for both terms, means (not sums) over
samples and channels, the sum over all other stems in the second term, and which excerpts count as
silent. Check them against the paper before comparing results with its own.

This is no term of a recipe's sum: it belongs to a step of its own, with its own optimizer.
"""

from __future__ import annotations

import torch
from torch import Tensor

#: Weight of the excerpt's reconstruction beside the known source (λ).
REST_WEIGHT = 1e-6


def remixed_loss(
    estimates: Tensor,
    known: Tensor,
    excerpt: Tensor,
    silent: Tensor,
    *,
    rest_weight: float = REST_WEIGHT,
) -> Tensor:
    """Return the mean ``()`` of ``L1(ŝ_i, s_i) + λ L1(Σ_{j≠i} ŝ_j, m)`` over the batch.

    ``estimates`` ``(B, S, C, T)`` are those of the mixture of ``known`` ``(B, C, T)``, the source
    with index ``silent`` ``(B,)``, and an ``excerpt`` ``(B, C, T)`` in which it is silent.
    Computed in fp32 regardless of autocast.
    """
    with torch.autocast(estimates.device.type, enabled=False):
        guess, source, rest = (
            wave.float() if wave.dtype in (torch.float16, torch.bfloat16) else wave
            for wave in (estimates, known, excerpt)
        )
        own = guess[torch.arange(len(guess), device=guess.device), silent]
        others = guess.sum(1) - own
        return (own - source).abs().mean() + rest_weight * (others - rest).abs().mean()
