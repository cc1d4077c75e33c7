"""Losses against other packages: their numbers, and, with a registry, the packages themselves.

``python tests/test_training_losses_oracles.py`` installs the packages of `loss_oracles` and prints
the numbers of `NUMBERS`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from loss_oracles import ORACLES, install
from losses import shares, value
from networks import waves
from roformers import reference_package
from torch import Tensor
from torch.nn import functional

from stemsplit.training.losses.clustering import affinity_loss, whitened_loss

#: What the packages give for ``example()``: auraloss 0.4.0, nussl 1.1.9, asteroid 0.7.0,
#: torch-l1-snr 0.2.1, with torch 2.13.0 on a CPU.
NUMBERS = {
    "auraloss SISDRLoss": -18.25526237487793,
    "auraloss SNRLoss": -17.242233276367188,
    "auraloss MultiResolutionSTFTLoss": 0.1524985432624817,
    "auraloss linear": 0.04138607904314995,
    "torch_l1_snr L1SNRLoss": -8.968864440917969,
    "nussl SISDRLoss": -18.25526237487793,
    "nussl DeepClusteringLoss": 0.7620922327041626,
    "nussl WhitenedKMeansLoss": 4.046479225158691,
    "asteroid deep_clustering_loss": 0.6194528341293335,
    "asteroid PITLossWrapper": -18.25526237487793,
}


def example() -> tuple[Tensor, Tensor]:
    """Return estimates and sources ``(B, S, 1, T)`` of two items: sums of sines, with errors."""
    sources = 0.3 * waves(3, torch.empty(2, 2, 1, 6_000)).cumsum(-1).view(2, 2, 1, -1).float()
    error = 0.05 * waves(8, torch.empty(2, 2, 1, 6_000)).view(2, 2, 1, -1).float()
    return 0.8 * sources + 0.1 * sources.flip(1) + error, sources


def points() -> tuple[Tensor, Tensor, Tensor]:
    """Return embeddings ``(B, P, D)``, owners ``(B, P, S)`` and weights ``(B, P)`` of bins."""
    owners = functional.one_hot((waves(2, torch.empty(2, 4_000)) > 0.2).long().view(2, -1), 2)
    noise = waves(1, torch.empty(2, 4_000, 6)).view(2, 4_000, 6)
    embeddings = functional.normalize(noise + functional.pad(owners, (0, 4)), dim=-1)
    weights = 1.1 + waves(5, torch.empty(2, 4_000)).view(2, -1)
    return embeddings.float(), owners.float(), weights.float()


def ours(name: str) -> float:
    """Return our number for the oracle ``name``."""
    estimates, sources = example()
    embeddings, owners, weights = points()
    losses: dict[str, Callable[[], Tensor]] = {
        "auraloss SISDRLoss": lambda: term("si_sdr", zero_mean=True),
        "auraloss SNRLoss": lambda: term("snr", zero_mean=True),
        "auraloss MultiResolutionSTFTLoss": lambda: term("multi_resolution_stft"),
        "auraloss linear": lambda: term(
            "multi_resolution_stft", convergence=0.0, log=0.0, linear=1.0
        ),
        "torch_l1_snr L1SNRLoss": lambda: term("l1_snr"),
        "nussl SISDRLoss": lambda: term("si_sdr", zero_mean=True),
        "nussl DeepClusteringLoss": lambda: affinity_loss(embeddings, owners, weights).mean(),
        "nussl WhitenedKMeansLoss": lambda: whitened_loss(embeddings, owners, weights, 1.0).mean(),
        "asteroid deep_clustering_loss": lambda: affinity_loss(
            embeddings, owners, torch.ones_like(weights)
        ).mean(),
        "asteroid PITLossWrapper": lambda: term("si_sdr", permuted=True, zero_mean=True, flip=True),
    }

    def term(name: str, *, flip: bool = False, **settings: Any) -> Tensor:
        guess = estimates.flip(1) if flip else estimates
        return value({"name": name, **settings}, guess, sources, shares("a", "b"))

    return float(losses[name]())


#: Relative differences that have a reason.
TOLERANCES = {
    # It adds 1 to the numbers of bins of the sources as well, and 1e-8 in other places.
    "nussl WhitenedKMeansLoss": 1e-3,
}


@pytest.mark.parametrize("name", ORACLES)
def test_the_numbers_of_other_packages(name: str) -> None:
    assert ours(name) == pytest.approx(NUMBERS[name], rel=TOLERANCES.get(name, 2e-5))


@pytest.mark.network
@pytest.mark.filterwarnings("ignore")
def test_the_packages_still_give_these_numbers(tmp_path: Path) -> None:
    assert oracle_numbers(tmp_path) == pytest.approx(NUMBERS, rel=1e-5)


@pytest.mark.network
@pytest.mark.filterwarnings("ignore")
def test_the_loss_inside_the_roformers(tmp_path: Path) -> None:
    """Of what the network itself estimates."""
    sources = example()[1]
    torch.manual_seed(0)
    with reference_package(tmp_path) as package, torch.no_grad():
        network = package.BSRoformer(dim=8, depth=1, num_stems=2, flash_attn=False).eval()
        estimates = network(sources.sum(1))
        target = sources[..., : estimates.shape[-1]]
        total, parts = network(sources.sum(1), target=target, return_loss_breakdown=True)
    guess = estimates.view(target.shape)
    model = shares("a", "b")
    assert value({"name": "l1"}, guess, target, model) == pytest.approx(float(parts[0]), rel=1e-5)
    tables = [{"name": "l1"}, {"name": "stft_l1"}]
    assert value(tables, guess, target, model) == pytest.approx(float(total), rel=1e-5)


def oracle_numbers(folder: Path) -> dict[str, float]:
    with install(folder):
        return {name: float(ORACLES[name](*example(), *points())) for name in ORACLES}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        for name, number in oracle_numbers(Path(folder)).items():
            print(f'    "{name}": {number!r},')
