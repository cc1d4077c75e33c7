"""LSTM layers whose weights are larger than the processor's cache.

One item at a time, such a layer reads all of its recurrent weights from memory for each frame, and
that takes most of its time. torch's own layers also spend time on arranging them.

Axes: ``N`` frames, ``B`` batch, ``C`` channels, ``H`` hidden channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stemsplit.models.operators import linear
from stemsplit.models.pieces import cuts

#: Bytes of recurrent weights from which on this is faster than torch's own layers.
LARGE = 16 * 1024 * 1024


def run_lstm(lstm: nn.LSTM, x: Tensor) -> Tensor:
    """Return the output ``(N, B, H)``, or ``(N, B, 2 H)``, of ``lstm`` for ``x`` ``(N, B, C)``."""
    by_steps = (
        cuts(x)
        and x.dtype == torch.float32
        and not torch.is_autocast_enabled(x.device.type)
        and lstm.get_parameter("weight_hh_l0").nbytes >= LARGE
    )
    if not by_steps:
        output: Tensor = lstm(x)[0]
        return output
    for layer in range(lstm.num_layers):
        ways = ["", "_reverse"] if lstm.bidirectional else [""]
        x = torch.cat([_run_direction(lstm, f"_l{layer}{way}", x) for way in ways], dim=2)
    return x


def _run_direction(lstm: nn.LSTM, suffix: str, x: Tensor) -> Tensor:
    """Return the output ``(N, B, H)`` of the layer and direction that ``suffix`` names."""
    inputs, recurrent, *biases = (
        lstm.get_parameter(f"{name}{suffix}")
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    gates = linear(x, inputs, biases[0] + biases[1])
    frames, batch, _ = gates.shape
    output = x.new_empty(frames, batch, lstm.hidden_size)
    state, cell = (x.new_zeros(batch, lstm.hidden_size) for _ in range(2))
    order = range(frames)
    for frame in reversed(order) if suffix.endswith("_reverse") else order:
        gate = linear(state, recurrent).add_(gates[frame])
        let_in, keep, candidate, let_out = gate.chunk(4, dim=1)
        cell = keep.sigmoid().mul_(cell).addcmul_(let_in.sigmoid(), candidate.tanh())
        state = let_out.sigmoid().mul_(cell.tanh())
        output[frame] = state
    return output
