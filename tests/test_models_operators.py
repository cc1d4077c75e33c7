"""The operators that an engine may choose compute the same as torch's public ones."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from stemsplit.models.htdemucs import HTDemucs, HTDemucsConfig
from stemsplit.models.layers import LayerScale
from stemsplit.models.operators import (
    FEW_TOKENS,
    Linear,
    Operators,
    attend_in_blocks,
    attention,
    feed_forward,
    linear,
    onednn_linear,
    using,
)


def onednn_works() -> bool:
    try:
        onednn_linear(torch.zeros(2, 4), torch.zeros(3, 4), None)
    except (AttributeError, RuntimeError):
        return False
    return True


pytestmark = pytest.mark.skipif(not onednn_works(), reason="torch has no such operator here")


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def level(error: Tensor, signal: Tensor) -> float:
    """Return how many dB ``error`` is below ``signal``."""
    error, signal = error.detach(), signal.detach()
    return float(10 * torch.log10(signal.square().sum() / error.square().sum()))


@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_layer_by_onednn_is_the_same_but_for_rounding(bias: bool) -> None:
    x, weight = noise(2, 37, 64), noise(48, 64, seed=1)
    own_bias = noise(48, seed=2) if bias else None
    expected = functional.linear(x, weight, own_bias)
    with torch.inference_mode(), using(Operators(linear=True)):
        found = linear(x, weight, own_bias)
    assert found.shape == expected.shape
    assert level(found - expected, expected) > 120


def test_a_view_that_is_not_contiguous_may_be_its_input() -> None:
    x, weight = noise(2, 64, 37).transpose(1, 2), noise(48, 64, seed=1)
    with torch.inference_mode(), using(Operators(linear=True)):
        found = linear(x, weight)
    assert level(found - functional.linear(x, weight), found) > 120


def test_the_layer_of_the_networks_uses_the_chosen_operator() -> None:
    """And only within the block: the operator has no gradient."""
    layer = Linear(64, 48)
    x = noise(3, 64)
    expected = functional.linear(x, layer.weight, layer.bias)
    with torch.inference_mode(), using(Operators(linear=True)):
        found = layer(x)
    assert level(found - expected, expected) > 120
    assert layer(x).requires_grad


def test_a_feed_forward_part_has_the_exact_gelu() -> None:
    first, second = Linear(64, 256), Linear(256, 64)
    x = 3 * noise(1, 50, 64)
    with torch.inference_mode():
        expected = second(functional.gelu(first(x)))
        assert torch.equal(feed_forward(x, first, second), expected)
        with using(Operators(linear=True)):
            found = feed_forward(x, first, second)
            hidden = onednn_linear(x, first.weight, first.bias, gelu=True)
            assert torch.equal(found, second(hidden))
    assert level(found - expected, expected) > 115


@pytest.mark.parametrize("queries", [FEW_TOKENS, 700])
def test_attention_in_blocks_is_the_same_but_for_rounding(queries: int) -> None:
    query = 2 * noise(2, 3, queries, 16)
    key, value = noise(2, 3, 600, 16, seed=1), noise(2, 3, 600, 16, seed=2)
    with torch.inference_mode():
        expected = attention(query, key, value)
        assert torch.equal(expected, functional.scaled_dot_product_attention(query, key, value))
        with using(Operators(attention=True)):
            found = attention(query, key, value)
    assert found.shape == expected.shape
    assert level(found - expected, expected) > 110
    assert torch.equal(found, attend_in_blocks(query, key, value))


@pytest.mark.parametrize("lengths", [(FEW_TOKENS - 1, 600), (600, FEW_TOKENS - 1)])
def test_few_tokens_attend_without_blocks(lengths: tuple[int, int]) -> None:
    """Few queries, or few tokens that they attend to."""
    query = noise(1, 2, lengths[0], 16)
    key, value = (noise(1, 2, lengths[1], 16, seed=seed) for seed in (1, 2))
    with torch.inference_mode(), using(Operators(attention=True)):
        found = attention(query, key, value)
    assert torch.equal(found, functional.scaled_dot_product_attention(query, key, value))


def test_attention_in_blocks_serves_one_precision_at_a_time() -> None:
    query, key, value = (noise(1, 2, FEW_TOKENS, 16, seed=seed) for seed in range(3))
    with torch.inference_mode(), using(Operators(half_attention=True)):
        plain = attention(query, key, value)
        half = attention(query.bfloat16(), key.bfloat16(), value.bfloat16())
    assert torch.equal(plain, functional.scaled_dot_product_attention(query, key, value))
    assert half.dtype == torch.bfloat16
    assert level(half.float() - plain, plain) > 30


def test_htdemucs_is_the_same_with_all_fast_operators() -> None:
    torch.manual_seed(0)
    config = HTDemucsConfig(channels=8, bottom_channels=32, t_layers=3, t_heads=2)
    network = HTDemucs(config).eval()
    for module in network.modules():  # as if it had learnt to use its transformer
        if isinstance(module, LayerScale):
            torch.nn.init.constant_(module.scale, 0.3)
    mix = 0.1 * noise(1, 2, config.segment)
    with torch.inference_mode():
        plain = network(mix)
        with using(Operators(linear=True, attention=True)):
            fast = network(mix)
    assert not torch.equal(fast, plain)
    assert level(fast - plain, plain) > 110
