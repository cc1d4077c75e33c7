"""Residual branches over long inputs against the same layers one after the other."""

from __future__ import annotations

import pytest
import torch
from oracles import randomise, signal_to_difference
from torch import Tensor

from stemsplit.models import branches
from stemsplit.models.branches import is_long
from stemsplit.models.layers import DConv
from stemsplit.models.pieces import LONG


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("loudness", [1.0, 1e-4, 0.0])
@pytest.mark.parametrize("offset", [0.0, 30.0])
def test_long_branches_equal_layer_after_layer(
    loudness: float, offset: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(branches, "PIECE", 12_000)
    layer = DConv(12, depth=2, compression=4, init=0.5)
    randomise(layer)
    x = loudness * noise(2, 12, LONG + 7)
    with torch.no_grad():
        for branch in layer.layers:  # a mean far from 0 makes a variance imprecise
            branch.get_parameter("3.bias").add_(offset)
        assert is_long(x) and not is_long(x.double())
        found = layer(x)
        expected = layer.double()(x.double())
    assert signal_to_difference(expected, found.double()) > 100


def test_only_long_inputs_in_fp32_without_gradients() -> None:
    x = noise(1, 2, LONG)
    assert not is_long(x)
    with torch.no_grad():
        assert is_long(x)
        assert not is_long(x[..., :-1])
        assert not is_long(x.bfloat16())
        with torch.autocast("cpu", torch.bfloat16):
            assert not is_long(x)


def test_the_input_of_a_branch_stays_as_it_was() -> None:
    layer, x = DConv(4, depth=1, compression=2, init=0.5), noise(1, 4, LONG)
    before = x.clone()
    with torch.no_grad():
        layer(x)
    assert torch.equal(x, before)
