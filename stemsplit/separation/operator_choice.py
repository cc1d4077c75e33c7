"""Measure once which of the operators in `models.operators` are faster on this CPU.

A measurement takes a tenth of a second, so its result is kept in the cache folder, under the
processor and the version of torch. An operator that is missing, wrong or not clearly faster is not
used.
"""

from __future__ import annotations

import json
import math
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from stemsplit.checkpoints.records import read_record, write_record
from stemsplit.models.operators import PUBLIC, Operators, attend_in_blocks, onednn_linear
from stemsplit.separation.threads import limited_threads

NAME = "operators.json"
#: Set to ``torch`` to use torch's public operators only.
VARIABLE = "STEMSPLIT_OPERATORS"
#: How much faster an operator must be, so that chance does not decide.
CLEARLY_FASTER = 1.05
#: Runs of each, of which the fastest counts: other work on the machine only slows one down, and
#: most of these are shorter than a slice of time that the kernel gives.
RUNS = 12
#: The largest error of an operator, as a fraction of the largest value.
LARGEST_ERROR = {torch.float32: 1e-5, torch.bfloat16: 0.05}
#: The number of results that are kept; the oldest are dropped.
MOST = 20
#: Lines of Linux' list of processors that identify one. The name alone may stand for several.
_IDENTITY = ("vendor_id", "cpu family", "model", "model name", "stepping", "flags")

Operator = Callable[[], Tensor]


def faster_operators(dtype: torch.dtype) -> Operators:
    """Return the operators for a network in ``dtype`` that are faster on this CPU.

    They are measured if there is no result of an earlier run. With ``STEMSPLIT_OPERATORS=torch`` in
    the environment there are none.
    """
    if os.environ.get(VARIABLE) == "torch":
        return PUBLIC
    key = json.dumps([_processor(), torch.__version__])
    record = read_record(NAME)
    known = record.pop(key, None)
    known = dict(known) if isinstance(known, dict) else {}
    missing = _CONTESTS[dtype].keys() - known.keys()
    if missing:
        # Several threads would wait for one another on a busy machine, and measure that.
        with limited_threads(1):
            known |= {name: _CONTESTS[dtype][name]() for name in sorted(missing)}
        write_record(NAME, record | {key: known}, MOST)
    return Operators(**{name: known[name] is True for name in _CONTESTS[dtype]})


def has_bf16() -> bool:
    """Return whether this CPU computes in bf16 itself (AVX512-BF16, AMX or Arm's BF16)."""
    with suppress(AttributeError, RuntimeError):
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return False


def _linear_is_faster() -> bool:
    x, weight, bias = _noise(1024, 512), _noise(512, 512), _noise(512)
    return _wins(lambda: onednn_linear(x, weight, bias), lambda: functional.linear(x, weight, bias))


def _attention_is_faster(dtype: torch.dtype = torch.float32) -> bool:
    query, key, value = _noise(3, 1, 1, 512, 64).to(dtype)
    return _wins(
        lambda: attend_in_blocks(query, key, value),
        lambda: functional.scaled_dot_product_attention(query, key, value),
    )


def _half_attention_is_faster() -> bool:
    return has_bf16() and _attention_is_faster(torch.bfloat16)


#: Data type of a network -> field of `Operators` -> whether it is faster here.
_CONTESTS: dict[torch.dtype, dict[str, Callable[[], bool]]] = {
    torch.float32: {"linear": _linear_is_faster, "attention": _attention_is_faster},
    torch.bfloat16: {"half_attention": _half_attention_is_faster},
}


def _noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def _wins(challenger: Operator, public: Operator) -> bool:
    """Return whether ``challenger`` computes the same as ``public``, and clearly faster."""
    with torch.inference_mode():
        try:
            result = challenger()
        except (AttributeError, RuntimeError, NotImplementedError):
            return False  # not in this version of torch, or not for this processor
        expected = public()
        if result.shape != expected.shape or result.dtype != expected.dtype:
            return False
        error = float((result - expected).abs().max() / expected.abs().max())
        # Not the other way round: an error that is not a number must lose.
        if not error <= LARGEST_ERROR[expected.dtype]:
            return False
        challenger()  # once more: the first runs of both prepare what later ones use
        taken = [math.inf, math.inf]
        for _ in range(RUNS):  # in turn, so that a change of speed affects both
            for index, operator in enumerate((challenger, public)):
                start = time.thread_time()
                operator()
                taken[index] = min(taken[index], time.thread_time() - start)
    return taken[0] * CLEARLY_FASTER <= taken[1]


def _processor() -> str:
    """Return what identifies the processor of this machine."""
    return "; ".join([platform.machine(), platform.processor(), *_identity_on_linux()])


def _identity_on_linux() -> Iterator[str]:
    with suppress(OSError):
        first, _, _ = Path("/proc/cpuinfo").read_text(errors="replace").partition("\n\n")
        for line in first.splitlines():
            name, _, value = line.partition(":")
            if name.strip() in _IDENTITY:
                yield value.strip()
