"""Deep Clustering: k-means, and that a stem stays the same source over a whole song."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import signal_to_difference
from torch import Tensor
from torch.nn import functional

from stemsplit.models import build
from stemsplit.models.deep_clustering import DeepClustering, assign, find_clusters
from stemsplit.separation.engine import Engine

RATE, SEGMENT = 8_000, 8_000
TINY: dict[str, Any] = {"segment": SEGMENT, "hidden": 8, "layers": 1, "embedding": 8}


def tiny(**fields: Any) -> DeepClustering:
    torch.manual_seed(0)
    model = build("deep_clustering:DeepClustering", TINY | fields)
    assert isinstance(model, DeepClustering)
    return model.eval()


def trained_to_tell_low_from_high() -> DeepClustering:
    """A network whose embeddings say whether a bin is above 2 kHz, whatever its input."""
    model = tiny()
    with torch.no_grad():
        model.embedding.linear.weight *= 0.01
        bias = model.embedding.linear.bias.view(129, 8)
        bias[:] = -3
        bias[:64, ::2] = 3
        bias[64:, 1::2] = 3
    return model


def tone(frequency: float, seconds: int) -> Tensor:
    return torch.sin(2 * torch.pi * frequency / RATE * torch.arange(seconds * RATE))


def song() -> tuple[Tensor, Tensor]:
    """Mixture ``(1, T)`` and stems ``(2, 1, T)``: a low and a high tone, loud by turns."""
    turns = torch.tensor([1.0, 0.2, 1.0, 1.0, 0.2, 0.2]).repeat_interleave(RATE)
    stems = torch.stack([turns * tone(300, 6), (1.2 - turns) * tone(3_000, 6)])[:, None]
    return stems.sum(0), stems


def blobs(places: Tensor, each: int, seed: int) -> Tensor:
    """Return ``each`` points around each of ``places`` ``(K, D)``, all shuffled: ``(1, M, D)``."""
    generator = torch.Generator().manual_seed(seed)
    points = places.repeat(each, 1)
    points = points + 0.05 * torch.randn(points.shape, generator=generator)
    return points[torch.randperm(len(points), generator=generator)][None]


# --- K-means -------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 5), st.integers(0, 1_000))
def test_clusters_are_found(count: int, seed: int) -> None:
    places = torch.eye(6)[:count]
    points = blobs(places, 40, seed)
    found = find_clusters(points, torch.ones(1, points.shape[1]), count)
    torch.testing.assert_close(assign(found, places)[0], places, atol=0.05, rtol=0)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 4), st.integers(0, 1_000))
def test_a_centre_is_the_weighted_mean_of_what_is_nearest_to_it(count: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(2, 60, 3, generator=generator)
    weights = torch.rand(2, 60, generator=generator)
    centres = find_clusters(points, weights, count)
    nearest = torch.cdist(points, centres).argmin(-1)
    for item in range(2):
        for number in range(count):
            own = nearest[item] == number
            mean = (weights[item, own, None] * points[item, own]).sum(0) / weights[item, own].sum()
            torch.testing.assert_close(centres[item, number], mean, atol=1e-5, rtol=1e-4)


def test_items_of_a_batch_have_clusters_of_their_own() -> None:
    points = torch.cat([blobs(torch.eye(4)[:2], 30, 0), blobs(torch.eye(4)[2:], 30, 1)])
    weights = torch.rand(2, 60, generator=torch.Generator().manual_seed(2))
    together = find_clusters(points, weights, 2)
    alone = [find_clusters(points[n : n + 1], weights[n : n + 1], 2) for n in range(2)]
    torch.testing.assert_close(together, torch.cat(alone))


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_points_that_are_all_alike(weight: float) -> None:
    points = torch.full((1, 20, 3), 0.5)
    centres = find_clusters(points, torch.full((1, 20), weight), 3)
    torch.testing.assert_close(centres, torch.full((1, 3, 3), 0.5))


def test_a_point_far_off_that_hardly_counts_makes_no_cluster() -> None:
    places = torch.eye(3)[:2]
    points = torch.cat([blobs(places, 20, 0), torch.full((1, 1, 3), 10.0)], dim=1)
    weights = torch.ones(1, 41)
    weights[0, -1] = 1e-6
    found = assign(find_clusters(points, weights, 2), places)[0]
    torch.testing.assert_close(found, places, atol=0.05, rtol=0)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 6), st.integers(0, 1_000))
def test_assignment_is_the_best_of_all(count: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    prototypes = torch.randn(count, 4, generator=generator)
    centres = torch.randn(2, count, 4, generator=generator)
    for given_centres, assigned in zip(centres, assign(centres, prototypes), strict=True):
        orders = [given_centres[list(order)] for order in permutations(range(count))]
        best = min(orders, key=lambda order: float((order - prototypes).square().sum()))
        assert torch.equal(assigned, best)


# --- Masks and stems -----------------------------------------------------------------------------


def test_stems_sum_to_the_mixture() -> None:
    model, mix = tiny(sources=["a", "b", "c"]), song()[0][None, :, :SEGMENT]
    with torch.inference_mode():
        outputs = model.training_outputs(mix)
    assert signal_to_difference(mix, outputs["sources"].sum(1)) > 100
    total = outputs["masks"].sum(1)
    torch.testing.assert_close(total, torch.ones_like(total))


def test_masks_fall_with_the_squared_distance() -> None:
    model = trained_to_tell_low_from_high()
    with torch.inference_mode():
        outputs = model.training_outputs(song()[0][None, :, :SEGMENT])
        points = outputs["embeddings"]
        centres = torch.stack([points[0, 0, :64].mean((0, 1)), points[0, 0, 64:].mean((0, 1))])
        distances = (points[..., None, :] - centres).square().sum(-1)
    expected = (-5 * distances).softmax(-1).movedim(-1, 1)
    torch.testing.assert_close(outputs["masks"], expected, atol=1e-3, rtol=0)


def test_the_loudest_tenth_makes_the_clusters() -> None:
    """Ten bins of a hundred, in two places; the others are nearly as loud, but somewhere else."""
    model = tiny()
    places = torch.eye(8)
    embeddings = places[2].repeat(1, 1, 10, 10, 1)
    embeddings[0, 0, 0, :5], embeddings[0, 0, 0, 5:] = places[0], places[1]
    magnitudes = torch.full((1, 1, 10, 10), 0.9)
    magnitudes[0, 0, 0] = 1.0
    first = model.masks(embeddings, magnitudes)[0, 0, 0]
    own = 1 / (1 + torch.exp(torch.tensor(-10.0)))  # the places are at a squared distance of 2
    torch.testing.assert_close(first[0, :5], own.expand(5))
    torch.testing.assert_close(first[0, 5:], 1 - own.expand(5))
    torch.testing.assert_close(first[1:], torch.full((9, 10), 0.5))


def test_a_stem_stays_the_same_source_over_a_song() -> None:
    model = trained_to_tell_low_from_high()
    mix, stems = song()
    engine = Engine(model, device="cpu")
    found = torch.cat(list(engine.separate(mix.split(1_000, dim=-1))), -1)
    for truth, stem in zip(stems, found, strict=True):
        assert signal_to_difference(truth, stem) > 15


def test_without_prototypes_it_would_not() -> None:
    """K-means alone finds the low tone first in one second and last in another."""
    model, mix = trained_to_tell_low_from_high(), song()[0]
    found_first = []
    for second in mix.split(SEGMENT, dim=-1):
        with torch.inference_mode():
            spectrum, states = model.encode(second[None])
            points = model.embedding(states).flatten(1, 3)
            centres = find_clusters(points, spectrum.abs().flatten(1), 2)[0]
        found_first.append("low" if centres[0, 0] > centres[0, 1] else "high")
    assert set(found_first) == {"low", "high"}


def test_the_overlap_keeps_the_order_where_prototypes_do_not_tell() -> None:
    """With the same prototype for all, k-means alone would say which stem is which."""
    model = trained_to_tell_low_from_high()
    mix, stems = song()
    with torch.no_grad():
        model.prototypes[:] = model.prototypes[:1]
    found = torch.cat(list(Engine(model, device="cpu").separate([mix])), -1)
    if signal_to_difference(stems, found) < 0:
        found = found.flip(0)  # one order or the other, but the same to the end
    assert signal_to_difference(stems, found) > 15


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_an_overlap_says_how_stems_go_on(order: tuple[int, ...]) -> None:
    model = tiny(sources=["a", "b", "c"])
    generator = torch.Generator().manual_seed(0)
    before = torch.randn(3, 1, 500, generator=generator)
    now = torch.empty_like(before)
    now[list(order)] = before + 0.1 * torch.randn(before.shape, generator=generator)
    found = model.order_after(before, now)
    assert found.tolist() == list(order)
    torch.testing.assert_close(now[found], before, atol=0.6, rtol=0)


def test_an_overlap_that_says_little_leaves_the_order_to_the_prototypes() -> None:
    """Only 3 dB closer the other way round; and silence, where all orders are alike."""
    model = tiny()
    generator = torch.Generator().manual_seed(0)
    low, high, other = torch.randn(3, 1, 5_000, generator=generator)
    before = torch.stack([low, high])
    for share, order in [(0.5, [0, 1]), (0.9, [1, 0])]:
        now = torch.stack([share**0.5 * each + (1 - share) ** 0.5 * other for each in (high, low)])
        assert model.order_after(before, now).tolist() == order
    assert model.order_after(0 * before, 0 * before).tolist() == [0, 1]
    assert model.order_after(before[..., :0], before[..., :0]).tolist() == [0, 1]


def test_prototypes_say_which_stem_is_which() -> None:
    model, mix = trained_to_tell_low_from_high(), song()[0][None, :, :SEGMENT]
    with torch.inference_mode():
        stems = model(mix)
        model.prototypes.copy_(model.prototypes.flip(0))
        assert torch.equal(model(mix), stems.flip(1))
    assert "prototypes" in model.state_dict()


def test_bfloat16_finds_the_same_clusters() -> None:
    model, mix = trained_to_tell_low_from_high(), song()[0][None, :, :SEGMENT]
    with torch.inference_mode():
        exact = model(mix)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = model(mix)
    assert rounded.dtype == torch.float32
    assert signal_to_difference(exact, rounded) > 40


def test_gradients_of_the_stems_reach_the_embeddings() -> None:
    model = tiny()
    model(song()[0][None, :, :SEGMENT])[:, 0].abs().sum().backward()
    gradient = model.embedding.linear.weight.grad
    assert gradient is not None and gradient.isfinite().all() and gradient.any()


# --- Prototypes ----------------------------------------------------------------------------------


def test_fresh_prototypes_are_orthogonal_and_of_length_1() -> None:
    prototypes = tiny(sources=["a", "b", "c"], embedding=20).prototypes
    torch.testing.assert_close(prototypes @ prototypes.T, torch.eye(3))
    assert (prototypes >= 0).all()


def test_prototypes_move_to_where_the_true_stems_are() -> None:
    model = trained_to_tell_low_from_high()
    mix, stems = (audio[..., :SEGMENT] for audio in song())
    model.train()
    statistics = model.normalization.batch_norm.running_mean.clone()
    for _ in range(60):
        model.learn_prototypes(mix[None], stems.flip(0)[None])  # the high tone first
        torch.testing.assert_close(model.prototypes.norm(dim=1), torch.ones(2))
    assert model.training
    assert torch.equal(model.normalization.batch_norm.running_mean, statistics)
    places = torch.tensor([[-3.0, 3.0] * 4, [3.0, -3.0] * 4]).sigmoid()
    expected = functional.normalize(places, dim=1)
    torch.testing.assert_close(model.prototypes, expected, atol=0.02, rtol=0)
    model.eval()
    with torch.inference_mode():
        found = model(mix[None])[0]
    assert signal_to_difference(stems.flip(0), found) > 15


def test_bands_of_the_mel_scale_cluster_as_bins_do() -> None:
    """Half of the bands are below 1.1 kHz; prototypes are learned of bands, too."""
    model = tiny(mel_bands=40)
    with torch.no_grad():
        model.embedding.linear.weight *= 0.01
        bias = model.embedding.linear.bias.view(40, 8)
        bias[:] = -3
        bias[:20, ::2] = 3
        bias[20:, 1::2] = 3
    mix, stems = (audio[..., :SEGMENT] for audio in song())
    with torch.inference_mode():
        outputs = model.training_outputs(mix[None])
    assert outputs["embeddings"].shape == (1, 1, 40, 126, 8)
    assert outputs["masks"].shape == (1, 2, 1, 129, 126)
    assert signal_to_difference(stems, outputs["sources"][0]) > 15
    for _ in range(60):
        model.learn_prototypes(mix[None], stems.flip(0)[None])
    with torch.inference_mode():
        assert signal_to_difference(stems.flip(0), model(mix[None])[0]) > 15


def test_a_silent_stem_keeps_its_prototype() -> None:
    model, (mix, stems) = trained_to_tell_low_from_high(), song()
    before = model.prototypes.clone()
    low = torch.stack([stems[0], torch.zeros_like(mix)])[..., :SEGMENT]
    model.learn_prototypes(low[:1].sum(0)[None], low[None], momentum=0.5)
    torch.testing.assert_close(model.prototypes[1], before[1])
    assert not torch.allclose(model.prototypes[0], before[0])


@pytest.mark.parametrize(
    "fields", [{"sources": ["a"]}, {"sources": list("abcdefg")}, {"sources": list("abc")}]
)
def test_numbers_of_sources_that_cannot_cluster_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{len(fields['sources'])} sources"):
        tiny(**fields, embedding=8 if len(fields["sources"]) != 3 else 2)
