"""Linear layers and attention, computed by the fastest operators of the CPU at hand.

torch computes both with MKL, which uses half of what an AMD processor can do. oneDNN, which torch
also contains, does better there, but torch offers its linear layer only as a private operator. So
networks call the functions here, which compute with torch's public operators unless an engine
chooses others (`separation.operator_choice` measures which are faster). All give the same result,
but for rounding.

Axes: ``B`` batch, ``N`` tokens, ``C`` channels, ``H`` heads, ``D`` channels of a head.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

#: Queries that attend at a time: their scores fit into the cache of a core.
BLOCK = 128
#: Tokens from which on attention in blocks can be faster. The blocks of fewer are too small.
FEW_TOKENS = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Operators:
    """Which operators an engine uses instead of torch's public ones; by default none.

    All are for inference on a CPU.
    """

    linear: bool = False  # oneDNN's linear layer, in fp32
    attention: bool = False  # in blocks of queries through it, in fp32
    half_attention: bool = False  # the same in bf16

    def __str__(self) -> str:
        words = {
            "linear layers by oneDNN": self.linear,
            "attention in blocks": self.attention or self.half_attention,
        }
        return ", ".join(name for name, used in words.items() if used)


#: torch's public ones.
PUBLIC = Operators()

_current: ContextVar[Operators] = ContextVar("operators", default=PUBLIC)


@contextmanager
def using(operators: Operators) -> Iterator[None]:
    """Let the networks of this thread use ``operators`` meanwhile."""
    token = _current.set(operators)
    try:
        yield
    finally:
        _current.reset(token)


def onednn_linear(x: Tensor, weight: Tensor, bias: Tensor | None, *, gelu: bool = False) -> Tensor:
    """Return oneDNN's linear layer of ``x`` ``(..., C)``, followed by a GELU if asked for.

    Private to torch, so it may be missing. It has no gradient.
    """
    name, algorithm = ("gelu", "none") if gelu else ("none", "")
    result: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, name, [], algorithm)
    return result


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return ``(..., C')``: ``x`` ``(..., C)`` by ``weight`` ``(C', C)``, plus ``bias``."""
    if _current.get().linear:
        return onednn_linear(x, weight, bias)
    return functional.linear(x, weight, bias)


class Linear(nn.Linear):
    """torch's linear layer, computed by `linear`."""

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(..., C')`` of ``x`` ``(..., C)``."""
        return linear(x, self.weight, self.bias)


def feed_forward(x: Tensor, first: nn.Linear, second: nn.Linear) -> Tensor:
    """Return the ``second`` layer of the GELU of the ``first``, of ``x`` ``(B, N, C)``."""
    if _current.get().linear:
        hidden = onednn_linear(x, first.weight, first.bias, gelu=True)
    else:
        hidden = functional.gelu(functional.linear(x, first.weight, first.bias))
    return linear(hidden, second.weight, second.bias)


def attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Return ``(B, H, N, D)``: ``query`` attending to ``key`` and ``value`` ``(B, H, N', D)``.

    Without the scores of all tokens to all in memory.
    """
    operators = _current.get()
    half = query.dtype == torch.bfloat16
    blocks = operators.half_attention if half else operators.attention
    if blocks and min(query.shape[2], key.shape[2]) >= FEW_TOKENS:
        return attend_in_blocks(query, key, value)
    return functional.scaled_dot_product_attention(query, key, value)


def attend_in_blocks(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Return the same as `attention`, a head and a block of queries at a time, by oneDNN."""
    batch, heads, tokens, width = query.shape
    result = query.new_empty(batch, tokens, heads, width)
    scaled = key * width**-0.5
    for item in range(batch):
        for head in range(heads):
            own_key, own_value = scaled[item, head].contiguous(), value[item, head].t().contiguous()
            for start in range(0, tokens, BLOCK):
                block = slice(start, start + BLOCK)
                scores = onednn_linear(query[item, head, block].contiguous(), own_key, None)
                shares = scores.softmax(dim=-1)
                result[item, block, head] = onednn_linear(shares, own_value, None)
    return result.transpose(1, 2)
