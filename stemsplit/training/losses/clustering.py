"""The losses of deep clustering: embeddings of bins are to be close where one source owns both.

J. R. Hershey, Z. Chen, J. Le Roux, S. Watanabe, "Deep clustering: discriminative embeddings for
segmentation and separation", ICASSP 2016; Z.-Q. Wang, J. Le Roux, J. R. Hershey, "Alternative
objective functions for deep clustering", ICASSP 2018.

Axes: ``B`` batch, ``S`` sources, ``C`` channels, ``T`` samples, ``M`` bins or bands, ``N`` frames,
``P`` points, one for each bin of each channel and frame, ``D`` dimensions of an embedding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from stemsplit.errors import UsageError
from stemsplit.models.base import SeparationModel
from stemsplit.models.recurrent import RecurrentSeparator
from stemsplit.training.losses.base import Term
from stemsplit.training.losses.settings import NotNegative, TermConfig

#: Added to what is divided by, so that silence has a loss.
FLOOR = 1e-8


@dataclass(frozen=True, slots=True, kw_only=True)
class DeepClusteringConfig(TermConfig):
    """Settings of a loss of embeddings. ``stems`` does not apply: it has no parts by source."""

    #: Hershey's difference of affinities, or Wang's k-means with whitened embeddings.
    form: Literal["affinity", "whitened"] = "affinity"
    #: How much a bin counts: as its magnitude in the mixture (Wang), all the same, or all the same
    #: down to ``threshold`` (Hershey).
    weighting: Literal["magnitude", "none", "threshold"] = "magnitude"
    #: dB relative to the loudest bin of an excerpt.
    threshold: float = -40.0
    #: What whitening adds to the squared embeddings, in bins; the tutorial's library has 1, too.
    ridge: NotNegative = 1.0

    def validate(self) -> None:
        """Raise ``ValueError`` for weights of stems."""
        if self.stems:
            raise ValueError("stems have no part of this loss of their own")


class DeepClustering(Term):
    """The loss of the ``embeddings`` that a network outputs; a bin belongs to its loudest source.

    Chimera's loss is the sum of two terms: this one with weight 0.975 and ``phase_sensitive`` with
    0.025 (Wang), or ``magnitude``.
    """

    Config = DeepClusteringConfig

    def __init__(self, config: DeepClusteringConfig, model: SeparationModel) -> None:
        super().__init__(config, model)
        if not (isinstance(model, RecurrentSeparator) and hasattr(model, "embedding")):
            raise UsageError(f"{type(model).__name__} has no embeddings")
        self.settings = config
        self.transform, self.to_bands = model.transform, model.to_bands

    def losses(self, outputs: Mapping[str, Tensor], sources: Tensor, mix: Tensor) -> Tensor:
        """Return the mean ``()`` of the losses of the items."""
        settings = self.settings
        points = outputs["embeddings"].flatten(1, 3)
        spectra = self.to_bands(self.transform(sources).abs()).flatten(2)
        owners = functional.one_hot(spectra.argmax(1), spectra.shape[1]).to(points)
        magnitudes = self.to_bands(self.transform(mix).abs()).flatten(1)
        weights = bin_weights(magnitudes, settings.weighting, settings.threshold).to(points)
        if settings.form == "affinity":
            return affinity_loss(points, owners, weights).mean()
        return whitened_loss(points, owners, weights, settings.ridge).mean()


def bin_weights(magnitudes: Tensor, weighting: str, threshold: float) -> Tensor:
    """Return the weight ``(B, P)`` of each of ``magnitudes`` ``(B, P)`` of the mixture; mean 1.

    All are 1 for silence, whose bins are equal.
    """
    loudest = magnitudes.amax(1, keepdim=True)
    if weighting == "none":
        weights = torch.ones_like(magnitudes)
    elif weighting == "threshold":
        weights = (magnitudes >= loudest * 10 ** (threshold / 20)).to(magnitudes)
    else:
        weights = torch.where(loudest > 0, magnitudes, 1)
    return weights / weights.mean(1, keepdim=True)


def affinity_loss(points: Tensor, owners: Tensor, weights: Tensor) -> Tensor:
    """Return the mean squared difference ``(B,)`` of affinities; P by P values are never formed.

    The affinity of two bins is the product of their ``points`` ``(B, P, D)``, of length 1, and
    should be that of their ``owners`` ``(B, P, S)``, one-hot: 1 or 0. In the mean, a pair counts
    with the product of its ``weights`` ``(B, P)``.
    """
    roots = weights.sqrt()[..., None]
    v, y = points * roots, owners * roots
    squares = [product.square().sum((1, 2)) for product in (v.mT @ v, v.mT @ y, y.mT @ y)]
    return (squares[0] - 2 * squares[1] + squares[2]) / weights.sum(1).square()


def whitened_loss(points: Tensor, owners: Tensor, weights: Tensor, ridge: float) -> Tensor:
    """Return ``D - tr((V'V)^-1 V'Y (Y'Y)^-1 Y'V)`` ``(B,)``: D - S for ideal embeddings, at best.

    V are ``points`` ``(B, P, D)``, Y ``owners`` ``(B, P, S)``, both times the root of ``weights``
    ``(B, P)``. ``ridge`` is added to the diagonal of V'V, which is singular for ideal embeddings.
    """
    weighted = points * weights[..., None]
    dimensions = points.shape[-1]
    identity = torch.eye(dimensions, dtype=points.dtype, device=points.device)
    own = weighted.mT @ points + ridge * identity
    cross = weighted.mT @ owners
    totals = (owners * weights[..., None]).sum(1)
    shared = (cross / (totals + FLOOR)[:, None]) @ cross.mT
    explained: Tensor = torch.linalg.solve(own, shared)
    return dimensions - explained.diagonal(dim1=1, dim2=2).sum(1)
