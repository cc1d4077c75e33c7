"""A fast operator is used where it is right and faster, and nowhere else."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from stemsplit.models.operators import Operators
from stemsplit.separation import operator_choice
from stemsplit.separation.execution import choose_operators
from stemsplit.separation.operator_choice import NAME, faster_operators

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STEMSPLIT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("STEMSPLIT_OPERATORS")
    return tmp_path / "cache" / NAME


def replace_operator(monkeypatch: pytest.MonkeyPatch, operator: Callable[..., Tensor]) -> None:
    monkeypatch.setattr(operator_choice, "onednn_linear", operator)


def slow(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    end = time.thread_time() + 0.02
    while time.thread_time() < end:
        pass
    return torch.nn.functional.linear(x, weight, bias)


def missing(*_: Tensor) -> Tensor:
    raise AttributeError("'_OpNamespace' 'mkldnn' object has no attribute '_linear_pointwise'")


def not_for_this_processor(*_: Tensor) -> Tensor:
    raise RuntimeError("could not create a primitive descriptor")


def wrong(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return torch.nn.functional.linear(x, weight, 1.001 * bias + 0.01)


def nan(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return torch.nn.functional.linear(x, weight, bias) * float("nan")


@pytest.mark.parametrize("operator", [missing, not_for_this_processor, wrong, nan, slow])
def test_other_machines_keep_torchs_own_operators(
    monkeypatch: pytest.MonkeyPatch, operator: Callable[..., Tensor]
) -> None:
    replace_operator(monkeypatch, operator)
    assert not faster_operators(torch.float32).linear


def test_a_faster_operator_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    public = torch.nn.functional.linear
    replace_operator(monkeypatch, public)
    monkeypatch.setattr(operator_choice.functional, "linear", slow_after(public))
    assert faster_operators(torch.float32).linear


def slow_after(public: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def operator(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        result = public(x, weight, bias)
        end = time.thread_time() + 0.02
        while time.thread_time() < end:
            pass
        return result

    return operator


def test_the_result_is_kept_for_this_processor_and_torch(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = faster_operators(torch.float32)
    ((key, names),) = json.loads(cache.read_text()).items()
    assert names == {"linear": first.linear, "attention": first.attention}
    cache.write_text(json.dumps({key: {"linear": True, "attention": False}}))
    assert faster_operators(torch.float32) == Operators(linear=True)
    monkeypatch.setattr(operator_choice, "_processor", lambda: "another one")
    replace_operator(monkeypatch, missing)
    assert not faster_operators(torch.float32).linear
    assert len(json.loads(cache.read_text())) == 2


@pytest.mark.parametrize("content", ["", "[]", "{", '{"x": 1}', "KEY: 3", "KEY: {}", "KEY: yes"])
def test_a_damaged_record_is_measured_again(
    cache: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    faster_operators(torch.float32)
    (key,) = json.loads(cache.read_text())
    words = {"KEY: 3": {key: 3}, "KEY: {}": {key: {}}, "KEY: yes": {key: {"linear": "yes"}}}
    cache.write_text(json.dumps(words[content]) if content in words else content)
    replace_operator(monkeypatch, missing)
    assert not faster_operators(torch.float32).linear


def test_a_cache_that_cannot_be_written_costs_nothing_else(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.parent.parent.joinpath("cache").write_text("a file where the folder should be")
    replace_operator(monkeypatch, missing)
    assert not faster_operators(torch.float32).linear


def test_torchs_own_operators_may_be_asked_for(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEMSPLIT_OPERATORS", "torch")
    assert faster_operators(torch.float32) == Operators()
    assert not cache.exists()


def test_other_devices_and_half_precision_have_no_such_operators() -> None:
    assert choose_operators(torch.device("meta"), torch.float32) == Operators()
    assert faster_operators(torch.bfloat16) in (Operators(), Operators(half_attention=True))
