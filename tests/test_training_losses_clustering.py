"""The losses of deep clustering: closed forms, the full form, and how much memory they take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from losses import chimera, draw, value
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from stemsplit.errors import UsageError
from stemsplit.training.losses import make_loss
from stemsplit.training.losses.clustering import affinity_loss, bin_weights, whitened_loss


def problem(points: int = 60, dimensions: int = 5, sources: int = 3) -> tuple[Tensor, ...]:
    """Return unit embeddings ``(B, P, D)``, owners ``(B, P, S)``, and weights ``(B, P)``."""
    embeddings = functional.normalize(draw(2, points, dimensions, dtype=torch.float64), dim=-1)
    owners = functional.one_hot(draw(2, points, sources, seed=1).argmax(-1), sources).double()
    weights = 0.1 + draw(2, points, seed=2, dtype=torch.float64).abs()
    return embeddings, owners, weights / weights.mean(1, keepdim=True)


def test_the_affinity_loss_is_that_of_all_pairs() -> None:
    embeddings, owners, weights = problem()
    difference = embeddings @ embeddings.mT - owners @ owners.mT
    pairs = weights[:, :, None] * weights[:, None]
    expected = (pairs * difference.square()).sum((1, 2)) / pairs.sum((1, 2))
    found = affinity_loss(embeddings, owners, weights)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)


def test_the_whitened_loss_is_that_of_projections() -> None:
    """``D - tr(P_V P_Y)`` with the projections onto the columns of both, P by P matrices."""
    embeddings, owners, weights = problem()
    roots = weights.sqrt()[..., None]
    v, y = (embeddings * roots).numpy(), (owners * roots).numpy()
    onto_v, onto_y = (x @ np.linalg.pinv(x) for x in (v, y))
    expected = 5 - np.trace(onto_v @ onto_y, axis1=1, axis2=2)
    found = whitened_loss(embeddings, owners, weights, ridge=0.0)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-7)


def test_the_whitened_loss_is_the_distance_to_the_means_of_clusters() -> None:
    """Wang's equation 6: of embeddings that are whitened, to the mean of their source."""
    embeddings, owners, _ = problem()
    weights = torch.ones(2, 60, dtype=torch.float64)
    values, vectors = torch.linalg.eigh(embeddings.mT @ embeddings)
    white = embeddings @ (vectors * values.rsqrt()[:, None]) @ vectors.mT
    means = (owners.mT @ white) / owners.sum(1)[..., None]
    expected = (white - owners @ means).square().sum((1, 2))
    found = whitened_loss(embeddings, owners, weights, ridge=0.0)
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=0)


@pytest.mark.parametrize("sources", [2, 3])
def test_ideal_embeddings_have_the_least_loss(sources: int) -> None:
    _, owners, weights = problem(sources=sources)
    ideal = functional.pad(owners, (0, 5 - sources))
    assert affinity_loss(ideal, owners, weights).abs().max() < 1e-12
    whitened = whitened_loss(ideal, owners, weights, ridge=1e-6)
    np.testing.assert_allclose(whitened.numpy(), 5 - sources, atol=1e-5)
    same = torch.full_like(ideal, 5**-0.5)  # embeddings that tell nothing apart
    np.testing.assert_allclose(whitened_loss(same, owners, weights, 1e-6).numpy(), 4, atol=1e-5)
    assert affinity_loss(same, owners, weights).min() > 0.4


class LargestTensor(TorchDispatchMode):
    """Records the number of values of the largest tensor that any operation returns."""

    values = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        sizes = [leaf.numel() for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        self.values = max(self.values, *sizes, 0)
        return result


@pytest.mark.parametrize("form", ["affinity", "whitened"])
def test_the_bins_of_ten_seconds_need_no_matrix_of_pairs(form: str) -> None:
    """200,000 bins have 4e10 pairs, 160 GB; nothing has more values than the embeddings."""
    points, dimensions = 200_000, 8
    embeddings = functional.normalize(draw(1, points, dimensions), dim=-1).requires_grad_()
    owners = functional.one_hot(draw(1, points, 2, seed=1).argmax(-1), 2).float()
    weights = torch.ones(1, points)
    with LargestTensor() as largest:
        if form == "affinity":
            loss = affinity_loss(embeddings, owners, weights)
        else:
            loss = whitened_loss(embeddings, owners, weights, ridge=1.0)
        loss.sum().backward()
    assert largest.values == points * dimensions
    assert embeddings.grad is not None and embeddings.grad.isfinite().all()


def test_weights_of_bins() -> None:
    magnitudes = torch.tensor([[4.0, 2.0, 0.0, 2.0]])
    found = {name: bin_weights(magnitudes, name, -20.0) for name in ("magnitude", "none")}
    assert found["magnitude"].tolist() == [[2.0, 1.0, 0.0, 1.0]]
    assert found["none"].tolist() == [[1.0, 1.0, 1.0, 1.0]]
    loud = bin_weights(magnitudes, "threshold", -6.1)[0]  # 2 is 6.02 dB below 4
    np.testing.assert_allclose(loud.numpy(), [4 / 3, 4 / 3, 0, 4 / 3], rtol=1e-6)
    assert bin_weights(magnitudes, "threshold", -6.0)[0].tolist() == [4.0, 0.0, 0.0, 0.0]
    for name in ("magnitude", "none", "threshold"):
        assert bin_weights(torch.zeros(1, 4), name, -40.0).tolist() == [[1.0, 1.0, 1.0, 1.0]]


@pytest.mark.parametrize("mel_bands", [0, 6])
@pytest.mark.parametrize("form", ["affinity", "whitened"])
def test_bins_belong_to_their_loudest_source(form: str, mel_bands: int) -> None:
    """Also bands of the mel scale; embeddings made of the true owners have the least loss."""
    model: Any = chimera(mel_bands=mel_bands, embedding=2)
    sources = draw(2, 2, 1, 300)
    bands = model.to_bands(model.transform(sources).abs())
    owners = functional.one_hot(bands.argmax(1), 2).float()
    table = {"name": "deep_clustering", "form": form, "ridge": 1e-4}
    least = value(table, sources, sources, model, embeddings=owners)
    assert least == pytest.approx(0.0, abs=1e-4)
    other = value(table, sources.flip(1), sources.flip(1), model, embeddings=owners)
    assert other == pytest.approx(float(least), abs=1e-6)  # sources have no order
    assert value(table, sources, sources, model, embeddings=owners.roll(1, -2)) > 0.1


def test_loud_bins_count_more() -> None:
    model: Any = chimera(embedding=2)
    sources = draw(1, 2, 1, 300)
    spectra = model.transform(sources).abs()
    owners = functional.one_hot(spectra.argmax(1), 2).float()
    levels = model.transform(sources.sum(1)).abs().flatten()
    wrong = {}
    for name, place in (("loudest", levels.argmax()), ("softest", levels.argmin())):
        changed = owners.clone().view(-1, 2)
        changed[place] = changed[place].flip(0)
        wrong[name] = {
            weighting: float(
                value(
                    {"name": "deep_clustering", "weighting": weighting},
                    sources,
                    sources,
                    model,
                    embeddings=changed.view_as(owners),
                )
            )
            for weighting in ("magnitude", "none", "threshold")
        }
    assert wrong["loudest"]["magnitude"] > 2 * wrong["loudest"]["none"]
    assert wrong["softest"]["magnitude"] < 0.1 * wrong["softest"]["none"]
    assert wrong["softest"]["threshold"] < wrong["softest"]["none"] < wrong["loudest"]["threshold"]


def test_the_loss_of_chimera_is_the_sum_of_two_tables() -> None:
    model = chimera()
    sources = draw(2, 2, 1, 300)
    mix = sources.sum(1)
    outputs: Mapping[str, Tensor] = model.training_outputs(mix)
    clustering = {"name": "deep_clustering", "form": "whitened", "weight": 0.975}
    inference = {"name": "phase_sensitive", "permuted": True, "weight": 0.025}
    total, terms = make_loss([clustering, inference], model)(outputs, sources, mix)
    expected = 0.975 * terms["deep_clustering"] + 0.025 * terms["phase_sensitive"]
    assert total.detach() == pytest.approx(float(expected), rel=1e-6)
    total.backward()
    assert all(weight.grad is not None and weight.grad.any() for weight in model.parameters())


def test_stems_have_no_weight_in_it() -> None:
    table = {"name": "deep_clustering", "stems": {"vocals": 1}}
    with pytest.raises(UsageError, match="stems have no part of this loss of their own"):
        make_loss([table], chimera())
