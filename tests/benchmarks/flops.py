"""How many operations a network needs, and how fast this machine does them: the floor."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import torch
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

Shape = Sequence[int]


def count_attention(query: Shape, key: Shape, value: Shape, *_: Any, **__: Any) -> int:
    """Return the operations of attention on ``(B, heads, N, D)``: two products of matrices."""
    return int(2 * prod(query[:-1]) * key[-2] * (query[-1] + value[-1]))


def count_fused_attention(query: Shape, key: Shape, *_: Any, **__: Any) -> int:
    """Return the operations of torch's fused multi-head attention, its projections included."""
    batch, rows, width = query
    return 4 * batch * (rows + key[1]) * width * width + 4 * batch * rows * key[1] * width


def count_linear(rows: Shape, weight: Shape, *_: Any, **__: Any) -> int:
    """Return the operations of a product of ``(..., in)`` with a weight ``(out, in)``."""
    return int(2 * prod(rows) * weight[0])


def count_recurrence(x: Shape, inputs: Shape, states: Shape, *_: Any, **__: Any) -> int:
    """Return the operations of one direction of an LSTM layer on ``(N, B, in)``.

    Its weights, for ``inputs`` and for ``states``, are used at each step.
    """
    return int(2 * x[0] * x[1] * (prod(inputs) + prod(states)))


#: Operators that torch's own counter does not know, or counts as nothing on a CPU.
FORMULAS: Mapping[str, Callable[..., int]] = {
    "aten._scaled_dot_product_flash_attention_for_cpu": count_attention,
    "aten._native_multi_head_attention": count_fused_attention,
    "aten.mkldnn_rnn_layer": count_recurrence,
    "mkldnn._linear_pointwise": count_linear,
}
#: Words in operators' names, and the kind of operation whose peak is their floor.
KINDS = {"conv": "convolution", "attention": "attention"}


def count_operations(run: Callable[[], object]) -> dict[str, int]:
    """Return the floating-point operations of ``run`` by operator; FFTs are not counted."""
    known = {}
    for name, formula in FORMULAS.items():
        namespace, packet = name.split(".")
        operator = getattr(getattr(torch.ops, namespace), packet, None)
        if operator is not None:  # each torch has others
            known[operator] = formula
    with torch.inference_mode(), FlopCounterMode(display=False, custom_mapping=known) as counter:
        run()
    counts = counter.get_flop_counts().get("Global", {})
    return {str(operator): int(count) for operator, count in counts.items()}


def kind_of(operator: str) -> str:
    """Return the kind of operation that ``operator`` is: a key of `measure_peaks`."""
    return next((kind for word, kind in KINDS.items() if word in operator), "product")


def measure_peaks(dtype: torch.dtype = torch.float32, seconds: float = 1.0) -> dict[str, float]:
    """Return the operations per second of each kind, the best of several runs with good shapes."""
    with torch.inference_mode():
        matrix = torch.randn(3072, 3072).to(dtype)
        image, kernel = torch.randn(1, 256, 128, 128).to(dtype), torch.randn(256, 256, 3, 3)
        kernel = kernel.to(dtype)
        heads = torch.randn(1, 8, 2688, 64).to(dtype)
        trials: dict[str, tuple[Callable[[], object], int]] = {
            "product": (lambda: matrix @ matrix, 2 * 3072**3),
            "convolution": (
                lambda: functional.conv2d(image, kernel, padding=1),
                2 * 256 * 256 * 9 * 128 * 128,
            ),
            "attention": (
                lambda: functional.scaled_dot_product_attention(heads, heads, heads),
                count_attention(heads.shape, heads.shape, heads.shape),
            ),
        }
        return {kind: _best_rate(run, count, seconds) for kind, (run, count) in trials.items()}


def _best_rate(run: Callable[[], object], operations: int, seconds: float) -> float:
    run()
    best, end = 0.0, time.perf_counter() + seconds
    while not best or time.perf_counter() < end:
        began = time.process_time()
        run()
        best = max(best, operations / (time.process_time() - began))
    return best
