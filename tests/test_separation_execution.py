"""The threads of the CPU, and how an execution is named."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from stemsplit.separation.execution import (
    Execution,
    choose_execution,
    degrade,
    limited_threads,
    with_limited_threads,
)


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


def test_items_are_made_within_the_limit_and_taken_outside_of_it() -> None:
    before = torch.get_num_threads()

    def numbers() -> Iterator[int]:
        for _ in range(3):
            yield torch.get_num_threads()

    seen = [(made, torch.get_num_threads()) for made in with_limited_threads(numbers(), before + 1)]
    assert seen == [(before + 1, before)] * 3


def test_an_error_while_an_item_is_made_leaves_the_threads_as_they_were() -> None:
    before = torch.get_num_threads()

    def fails() -> Iterator[int]:
        yield 0
        raise ValueError("in the second")

    with pytest.raises(ValueError, match="in the second"):
        list(with_limited_threads(fails(), before + 1))
    assert torch.get_num_threads() == before


def test_the_cpu_is_named_with_its_threads() -> None:
    own = torch.get_num_threads()
    plural = "s" if own > 1 else ""
    assert str(choose_execution("cpu", "auto", 1)).startswith(f"cpu, {own} thread{plural}, float32")
    assert str(choose_execution("cpu", "auto", 2, threads=3)) == (
        "cpu, 3 threads, float32, 2 segments at a time"
    )
    gpu = Execution(device=torch.device("cuda:1"), dtype=torch.float16, batch=1, threads=3)
    assert str(gpu) == "cuda:1, float16, 1 segment at a time"
    assert str(degrade(gpu)) == "cpu, 3 threads, float32, 1 segment at a time"
