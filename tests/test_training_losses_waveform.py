"""Losses of waves against closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from losses import draw, shares, value
from torch.autograd import gradcheck

from stemsplit.evaluation import si_sdr
from stemsplit.training.losses.base import trimmed_mean
from stemsplit.training.losses.remixed import remixed_loss


def test_l1_and_mse_of_known_differences() -> None:
    sources = draw(3, 2, 2, 100)
    estimates = sources.clone()
    estimates[:, 0] += 0.5  # vocals
    assert value({"name": "l1"}, estimates, sources) == pytest.approx(0.25, rel=1e-6)
    assert value({"name": "mse"}, estimates, sources) == pytest.approx(0.125, rel=1e-6)


@pytest.mark.parametrize(
    ("stems", "expected"),
    [({"vocals": 1}, 0.5), ({"drums": 2.0}, 0.0), ({"vocals": 1, "drums": 3}, 0.125), ({}, 0.25)],
)
def test_stems_count_as_the_recipe_weighs_them(stems: dict[str, float], expected: float) -> None:
    sources = draw(3, 2, 2, 100)
    estimates = sources + torch.tensor([0.5, 0.0])[:, None, None]
    found = value({"name": "l1", "stems": stems}, estimates, sources)
    assert found == pytest.approx(expected, rel=1e-6)


def test_a_quantile_leaves_out_the_worst_excerpts() -> None:
    """As the community's trainer does: below the quantile of each source, divided by all."""
    sources, estimates = draw(10, 2, 2, 50), draw(10, 2, 2, 50, seed=1)
    items = (estimates - sources).abs().mean((2, 3)).T
    below = items < torch.quantile(items, 0.8, dim=1, keepdim=True)
    expected = (items * below).mean()
    found = value({"name": "l1", "quantile": 0.8}, estimates, sources)
    assert found == pytest.approx(float(expected), rel=1e-6)
    assert below.sum() == 16


def test_a_quantile_leaves_out_the_worst_samples() -> None:
    sources, estimates = draw(2, 2, 1, 50), draw(2, 2, 1, 50, seed=1)
    squares = (estimates - sources).square().transpose(0, 1).flatten(1)
    below = squares < torch.quantile(squares, 0.95, dim=1, keepdim=True)
    table = {"name": "mse", "quantile": 0.95, "samples": True}
    expected = float((squares * below).mean())
    assert value(table, estimates, sources) == pytest.approx(expected, rel=1e-6)


def test_a_quantile_of_a_batch_of_one_is_that_one() -> None:
    """Otherwise nothing would be learned, and no loss would show it."""
    assert trimmed_mean(torch.tensor([3.0]), 0.5) == 3.0
    assert trimmed_mean(torch.tensor([1.0, 2.0, 9.0]), 0.5) == 1.0


@pytest.mark.parametrize("zero_mean", [False, True])
@pytest.mark.parametrize("name", ["si_sdr", "snr"])
def test_ratios_of_noise_of_a_known_level(name: str, zero_mean: bool) -> None:
    steps = 2 * math.pi * torch.arange(1000) / 1000
    sources = torch.stack([(5 * steps).sin(), (3 * steps).sin()])[:, None]
    noise = torch.stack([0.1 * (7 * steps).cos(), 0.01 * (9 * steps).cos()])[:, None]
    table = {"name": name, "zero_mean": zero_mean}
    found = value(table, (sources + noise)[None], sources[None], shares("vocals", "drums"))
    assert found == pytest.approx(-30.0, abs=1e-3)  # of 20 and 40 dB


def test_si_sdr_is_the_metric_and_knows_no_scale() -> None:
    sources = draw(2, 2, 2, 300)
    estimates = sources + 0.5 * draw(2, 2, 2, 300, seed=1)
    expected = -si_sdr(sources.double(), estimates.double())
    found = value({"name": "si_sdr"}, estimates, sources)
    assert found == pytest.approx(float(torch.as_tensor(expected).mean()), abs=1e-4)
    assert value({"name": "si_sdr"}, 7 * estimates, sources) == pytest.approx(
        float(found), abs=1e-4
    )
    assert value({"name": "snr"}, 7 * estimates, sources) > found + 10


def test_si_snr_knows_no_offset() -> None:
    sources, estimates = draw(1, 2, 2, 300), draw(1, 2, 2, 300, seed=1)
    table = {"name": "si_sdr", "zero_mean": True}
    expected = float(value(table, estimates, sources))
    assert value(table, estimates + 0.3, sources - 0.2) == pytest.approx(expected, abs=1e-4)


def test_the_l1_ratio_of_a_known_error() -> None:
    sources = torch.ones(1, 2, 2, 10)
    found = value({"name": "l1_snr"}, 0.9 * sources, sources)
    assert found == pytest.approx(10 * math.log10(0.101 / 1.001), abs=1e-4)


@pytest.mark.parametrize("name", ["l1", "mse", "si_sdr", "snr", "l1_snr", "stft_l1", "stft_rmse"])
def test_the_best_order_of_each_item_counts(name: str) -> None:
    model = shares("a", "b", "c")
    sources, estimates = draw(2, 3, 2, 200), draw(2, 3, 2, 200, seed=1)
    orders = torch.tensor([[2, 0, 1], [1, 0, 2]])
    shuffled = torch.stack([item[order] for item, order in zip(sources, orders, strict=True)])
    table = {"name": name, "permuted": True}
    perfect = value({"name": name}, sources, sources, model)
    assert value(table, shuffled, sources, model) == pytest.approx(float(perfect), abs=1e-6)
    every = torch.tensor(
        [
            [value({"name": name}, item[None, list(order)], true[None], model) for order in ORDERS]
            for item, true in zip(estimates, sources, strict=True)
        ]
    )
    expected = float(every.amin(1).mean())
    assert value(table, estimates, sources, model) == pytest.approx(expected, rel=1e-5)
    reordered = estimates[:, [1, 2, 0]]
    assert value(table, reordered, sources, model) == pytest.approx(expected, rel=1e-5)


ORDERS = [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]


def test_the_remixed_loss_of_known_errors() -> None:
    """Vocals of one item, drums of the other are known; the rest is right as a sum alone."""
    stems = draw(2, 3, 2, 100)
    silent = torch.tensor([0, 1])
    known = stems[torch.arange(2), silent]
    excerpt = stems.sum(1) - known
    estimates = stems.clone()
    estimates[0, 1] += 0.5
    estimates[0, 2] -= 0.5
    assert remixed_loss(estimates, known, excerpt, silent) == pytest.approx(0.0, abs=1e-12)
    estimates[1, 1] += 0.25  # the known one
    estimates[1, 2] += 0.5
    found = remixed_loss(estimates, known, excerpt, silent, rest_weight=1.0)
    assert found == pytest.approx(0.125 + 0.25, rel=1e-5)
    weak = remixed_loss(estimates, known, excerpt, silent)
    assert weak == pytest.approx(0.125 + 0.25e-6, rel=1e-7)


def test_the_remixed_loss_reaches_every_stem() -> None:
    estimates = draw(2, 3, 1, 20, dtype=torch.float64).requires_grad_()
    known, excerpt = draw(2, 1, 20, seed=1).double(), draw(2, 1, 20, seed=2).double()
    silent = torch.tensor([2, 0])
    assert gradcheck(lambda e: remixed_loss(e, known, excerpt, silent), estimates, atol=1e-7)
    remixed_loss(estimates, known, excerpt, silent).backward()
    assert estimates.grad is not None
    assert estimates.grad.abs().amin(-1).gt(0).all()
    assert estimates.grad[0, 2].abs().min() > 1e5 * estimates.grad[0, 0].abs().max()
