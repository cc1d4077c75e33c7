"""The threads of the CPU, and how an execution is named."""

from __future__ import annotations

import pytest
import torch

from stemsplit.models.operators import Operators
from stemsplit.separation.execution import Execution, choose_execution, degrade
from stemsplit.separation.threads import limited_threads


def test_a_limit_holds_inside_and_not_afterwards() -> None:
    before = torch.get_num_threads()
    with limited_threads(before + 2):
        assert torch.get_num_threads() == before + 2
        with limited_threads(None):
            assert torch.get_num_threads() == before + 2
    assert torch.get_num_threads() == before
    with pytest.raises(ValueError, match="on the way"), limited_threads(before + 1):
        raise ValueError("on the way")
    assert torch.get_num_threads() == before


def test_the_cpu_is_named_with_its_threads() -> None:
    own = torch.get_num_threads()
    plural = "s" if own > 1 else ""
    assert str(choose_execution("cpu", "auto", 1)).startswith(f"cpu, {own} thread{plural}, float32")
    assert str(choose_execution("cpu", "auto", 2, threads=3)).startswith(
        "cpu, 3 threads, float32, 2 segments at a time"
    )
    gpu = Execution(device=torch.device("cuda:1"), dtype=torch.float16, batch=1, threads=3)
    assert str(gpu) == "cuda:1, float16, 1 segment at a time"
    assert str(degrade(gpu)).startswith("cpu, 3 threads, float32, 1 segment at a time")


def test_the_operators_are_named() -> None:
    cpu = torch.device("cpu")
    chosen = Operators(linear=True, attention=True)
    assert str(
        Execution(device=cpu, dtype=torch.float32, batch=1, threads=1, operators=chosen)
    ) == (
        "cpu, 1 thread, float32, 1 segment at a time, linear layers by oneDNN, attention in blocks"
    )
