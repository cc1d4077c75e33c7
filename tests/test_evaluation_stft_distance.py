"""The STFT distance against closed forms and another package."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from scored_stems import noise

from stemsplit.evaluation import (
    mrstft,
)


def test_the_distance_of_known_errors() -> None:
    wave = noise(2, 5_000)
    assert mrstft(wave, wave) == 0.0
    # Half the level: half of the norm is missing, and every logarithm is off by ln 2.
    assert mrstft(wave, 0.5 * wave) == pytest.approx(0.5 + math.log(2), abs=1e-6)
    assert mrstft(0 * wave, 0 * wave) == 0.0
    assert math.isfinite(mrstft(0 * wave, wave))


@pytest.mark.network
@pytest.mark.filterwarnings("ignore")
def test_the_package_gives_the_same(oracles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(oracles))
    from auraloss.freq import MultiResolutionSTFTLoss

    stems = noise(2, 2, 44_100).cumsum(-1) * 0.01 + 0.1 * noise(2, 2, 44_100, seed=1)
    guess = 0.9 * stems + 0.02 * noise(2, 2, 44_100, seed=2)
    loss = MultiResolutionSTFTLoss()
    for truth, estimate in zip(torch.from_numpy(stems), torch.from_numpy(guess), strict=True):
        expected = float(loss(estimate[None], truth[None]))
        assert mrstft(truth.numpy(), estimate.numpy()) == pytest.approx(expected, rel=1e-5)
