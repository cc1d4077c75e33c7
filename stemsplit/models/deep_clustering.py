"""Deep Clustering: an embedding for each bin of the spectrogram, and a cluster for each source.

J. R. Hershey, Z. Chen, J. Le Roux, S. Watanabe, "Deep clustering: discriminative embeddings for
segmentation and separation", ICASSP 2016; soft masks after Y. Isik et al., "Single-channel
multi-speaker separation using deep clustering", Interspeech 2016. Numbers of Z.-Q. Wang,
J. Le Roux, J. R. Hershey, "Alternative objective functions for deep clustering", ICASSP 2018.

Clusters have no names, and k-means finds them in any order. The network therefore keeps a prototype
for each of its sources, the place on the sphere where its bins usually are; the clusters of every
segment go to the sources by the assignment that lies closest to the prototypes. Where two segments
overlap and another order clearly continues the stems of the first, that order counts, so that a
stem stays the same source from the first segment of a song to the last.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import permutations

import torch
from torch import Tensor
from torch.nn import functional

from stemsplit.models.config import Count, FFTLength, Rate, Segment, Sources
from stemsplit.models.recurrent import (
    EmbeddingActivation,
    EmbeddingHead,
    RecurrentConfig,
    RecurrentSeparator,
)

#: All assignments of clusters to sources are compared: 720 of them.
MOST_SOURCES = 6
#: K-means runs on the loudest bins only, a tenth of all as in the tutorial's library.
LOUDEST = 0.1
#: K-means converges much earlier, unless the points form no clusters.
ITERATIONS = 50
#: How many times closer to the previous segment's stems another order must be than that of the
#: prototypes, in squared distance: 6 dB. An overlap with a silent source is weaker evidence.
CLEARLY = 4.0
#: The least weight of a bin, so that silence has a mean.
WEIGHT_FLOOR = 1e-8


@dataclass(frozen=True, slots=True, kw_only=True)
class DeepClusteringConfig(RecurrentConfig):
    """Wang's network, 32,556,182 parameters: 8 kHz, windows of 32 ms, hops of 8 ms."""

    sources: Sources = ("vocals", "accompaniment")
    sample_rate: Rate = 8_000  # Hz
    segment: Segment = 240_000  # T: 30 s, because every source must occur in a segment
    n_fft: FFTLength = 256
    hop: Count = 64
    hidden: Count = 600
    embedding: Count = 20  # D; Hershey has 40
    embedding_activation: EmbeddingActivation = "sigmoid"  # before the length is 1; Hershey's: tanh
    #: How fast a mask falls with the squared distance from its cluster. The tutorial's library has
    #: 5 for the distance itself; here bins of orthogonal embeddings, the aim of the loss, leave
    #: e^-10 in the other stem.
    sharpness: float = 5.0

    def validate(self) -> None:
        """Raise ``ValueError`` for values that are incompatible with each other."""
        RecurrentConfig.validate(self)
        if not 2 <= len(self.sources) <= min(MOST_SOURCES, self.embedding):
            raise ValueError(
                f"{len(self.sources)} sources: clusters need 2 of them or more, and no more than "
                f"{MOST_SOURCES} or the {self.embedding} dimensions of an embedding"
            )


class DeepClustering(RecurrentSeparator):
    """K-means on embeddings; masks are the closeness of a bin to each cluster, and sum to 1."""

    Config = DeepClusteringConfig
    clusters = True
    prototypes: Tensor

    def __init__(self, config: DeepClusteringConfig) -> None:
        super().__init__(config)
        count, dimensions = len(config.sources), config.embedding
        self.sharpness = config.sharpness
        self.embedding = EmbeddingHead(
            self.states, self.bins, self.channels, dimensions, config.embedding_activation
        )
        # What the loss aims at: orthogonal embeddings of the sources. Sigmoids are not negative.
        own = torch.arange(dimensions) % count == torch.arange(count)[:, None]
        self.register_buffer("prototypes", functional.normalize(own.float(), dim=1))

    def training_outputs(self, mix: Tensor) -> dict[str, Tensor]:
        """Return ``sources`` (B, S, C, T), ``masks`` and ``magnitudes`` (B, S, C, F, N).

        Also the unit-length ``embeddings`` (B, C, M, N, D), which the loss of deep clustering uses.
        The gradient of the others reaches the embeddings through the masks; the cluster centres are
        constants.
        """
        spectrum, states = self.encode(mix)
        embeddings: Tensor = self.embedding(states)
        masks = self.masks(embeddings, self.to_bands(spectrum.abs()))
        return {**self.outputs(masks, spectrum, states, mix.shape[-1]), "embeddings": embeddings}

    def masks(self, embeddings: Tensor, magnitudes: Tensor) -> Tensor:
        """Return masks ``(B, S, C, M, N)`` of ``embeddings`` (B, C, M, N, D), summing to 1 over S.

        Clusters are found from the bins with the largest ``magnitudes`` ``(B, C, M, N)``.
        """
        # Half precision is too coarse for k-means.
        with torch.autocast(embeddings.device.type, enabled=False):
            points = embeddings.flatten(1, 3)
            with torch.no_grad():
                centres = assign(self._cluster(points, magnitudes.flatten(1)), self.prototypes)
            shares = (self.sharpness * _closeness(points, centres)).softmax(-1)
        return shares.view(*embeddings.shape[:-1], -1).movedim(-1, 1)

    def _cluster(self, points: Tensor, magnitudes: Tensor) -> Tensor:
        """Return the centres ``(B, S, D)`` of ``points`` (B, M, D) with ``magnitudes`` (B, M)."""
        weights, loudest = magnitudes.topk(math.ceil(LOUDEST * magnitudes.shape[1]))
        sample = points.gather(1, loudest[..., None].expand(-1, -1, points.shape[-1]))
        return find_clusters(sample, weights, len(self.sources))

    def order_after(self, before: Tensor, now: Tensor) -> Tensor:
        """Return the order ``(S,)`` in which the stems ``now`` continue those ``before``.

        Both are ``(S, C, n)``, of the same frames. They keep their order, which the prototypes
        determine, unless another one is `CLEARLY` closer.
        """
        costs = torch.cdist(now.flatten(1).double(), before.flatten(1).double()).square()
        order = find_order(costs[None])[0]
        found = costs.gather(0, order[None]).sum()
        changed = bool(CLEARLY * found < costs.trace())
        return order if changed else torch.arange(len(now), device=now.device)

    @torch.no_grad()
    def learn_prototypes(self, mix: Tensor, stems: Tensor, *, momentum: float = 0.1) -> None:
        """Move the prototypes by ``momentum`` towards the embeddings of the true ``stems``.

        ``mix`` is ``(B, C, T)``, ``stems`` ``(B, S, C, T)``. A bin belongs to the loudest stem, and
        is weighted by the magnitude of the mixture; the prototype of a stem that is never the
        loudest does not move. Training calls this in addition to the loss, which does not depend on
        the order of the sources.
        """
        training = self.training
        self.eval()
        spectrum, states = self.encode(mix)
        embeddings = self.embedding(states)
        self.train(training)
        loudest = self.to_bands(self.transform(stems.float()).abs()).argmax(dim=1)
        magnitudes = self.to_bands(spectrum.abs())
        owned = functional.one_hot(loudest, len(self.sources)) * magnitudes[..., None]
        sums = torch.einsum("bcfns,bcfnd->sd", owned, embeddings)
        means = torch.where(sums.any(1, keepdim=True), sums, self.prototypes)
        moved = self.prototypes.lerp(functional.normalize(means, dim=1), momentum)
        self.prototypes.copy_(functional.normalize(moved, dim=1))


def find_clusters(points: Tensor, weights: Tensor, count: int) -> Tensor:
    """Return the centres ``(B, count, D)`` of k-means of ``points`` ``(B, M, D)``.

    ``weights`` ``(B, M)``, 0 or above, are those of the points. Deterministic: the same points
    result in the same centres.
    """
    weights = weights + WEIGHT_FLOOR
    centres = _spread(points, weights, count)
    nearest: Tensor | None = None
    for _ in range(ITERATIONS):
        before, nearest = nearest, _closeness(points, centres).argmax(-1)
        if before is not None and torch.equal(before, nearest):
            break
        owned = functional.one_hot(nearest, count) * weights[..., None]
        totals = owned.sum(1)[..., None]
        means = owned.mT @ points / totals.clamp(min=WEIGHT_FLOOR)
        # A cluster becomes empty only if all points are equal; it then keeps its centre.
        centres = torch.where(totals > 0, means, centres)
    return centres


def assign(centres: Tensor, prototypes: Tensor) -> Tensor:
    """Return ``centres`` ``(B, S, D)`` in the order that is closest to ``prototypes`` (S, D).

    This is the order with the smallest sum of squared distances.
    """
    best = find_order(_distances(centres, prototypes.expand(len(centres), -1, -1)))
    return centres.gather(1, best[..., None].expand_as(centres))


def find_order(costs: Tensor) -> Tensor:
    """Return the order ``(B, S)`` with the lowest cost: the item for each position.

    ``costs`` ``(B, S, S)`` are those of each item (first S) in each position (second S).
    """
    count = costs.shape[-1]
    orders = torch.tensor(list(permutations(range(count))), device=costs.device)
    sums = costs[:, orders, torch.arange(count, device=costs.device)].sum(-1)
    return orders[sums.argmin(-1)]


def _spread(points: Tensor, weights: Tensor, count: int) -> Tensor:
    """Return ``count`` of ``points`` ``(B, M, D)`` far from each other: ``(B, count, D)``.

    Each is the point whose squared distance from the previous ones, times its weight, is largest;
    the first is the one farthest from the mean.
    """
    mean = (weights[:, None] @ points) / weights.sum(1)[:, None, None]
    distances = _distances(points, mean)[..., 0]
    found: list[Tensor] = []
    for number in range(count):
        farthest = (weights * distances).argmax(1)
        seed = points.gather(1, farthest[:, None, None].expand(-1, 1, points.shape[-1]))
        nearer = _distances(points, seed)[..., 0]
        distances = nearer if number == 0 else torch.minimum(distances, nearer)
        found.append(seed)
    return torch.cat(found, dim=1)


def _closeness(points: Tensor, centres: Tensor) -> Tensor:
    """Return ``(B, M, K)``: minus the squared distances of ``points`` from ``centres`` (B, K, D).

    Less what all centres have in common, the squared length of a point: it changes neither which
    is nearest nor a softmax.
    """
    return 2 * points @ centres.mT - centres.square().sum(-1)[:, None]


def _distances(points: Tensor, centres: Tensor) -> Tensor:
    """Return squared distances ``(B, M, K)`` of ``points`` (B, M, D) from ``centres`` (B, K, D)."""
    lengths = points.square().sum(-1)[..., None]
    return (lengths - _closeness(points, centres)).clamp(min=0)
