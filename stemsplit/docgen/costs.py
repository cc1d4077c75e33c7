"""What networks cost, and how far they look: ``stemsplit/checkpoints/costs.toml``.

``python -m stemsplit.docgen costs`` builds every network of the registry, with its configuration
and without weights, on torch's device "meta", where tensors have shapes and no values. So what a
network computes is counted from the shapes of a whole segment, in about a second.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from stemsplit.checkpoints.entries import Model
from stemsplit.checkpoints.registry import list_models
from stemsplit.models import build
from stemsplit.models.base import SeparationModel
from stemsplit.separation.chunking import hop_frames

COSTS = Path("stemsplit", "checkpoints", "costs.toml")
_HEAD = """\
# Made by `python -m stemsplit.docgen costs`. Of each network of registry.toml: multiply-adds per
# second of audio, overlap included; and how many frames it looks back and ahead, where that is
# less than its segment. `costs.py` says more.
"""
#: Of operations per second: more would pretend that FFTs and what is done per sample count nothing.
DIGITS = 3
#: Iterates until nothing changes any more, so that only a song shows how much it computes.
_UNCOUNTED = ("ica:ICA",)


def render_costs() -> str:
    """Return the file of the costs of all networks of the registry."""
    lines = [_HEAD]
    for model in list_models():
        if model.architecture:
            facts = ", ".join(f"{key} = {value:_}" for key, value in measure(model).items())
            lines.append(f'"{model.name}" = {{ {facts} }}' if facts else f'"{model.name}" = {{}}')
    return "\n".join(lines) + "\n"


def measure(model: Model) -> dict[str, int]:
    """Return what the file says of ``model``, one network, by key."""
    facts = {}
    # Autocast, which these networks turn off for some of their parts, does not know the device.
    without = mock.patch("torch.autocast", lambda *_, **__: contextlib.nullcontext())
    with torch.device("meta"), torch.no_grad(), without:
        network = build(model.architecture, model.config).eval()
        if model.architecture not in _UNCOUNTED and (count := _multiply_adds(network)):
            overlap = network.overlap if model.overlap is None else model.overlap
            hop = hop_frames(network.segment, overlap, model.window or network.window)
            facts["operations"] = _rounded(count * network.sample_rate / hop)
    for key, frames in zip(("back", "ahead"), network.reach, strict=True):
        if frames < network.segment:
            facts[key] = frames
    return facts


def _rounded(value: float) -> int:
    return int(round(value, DIGITS - 1 - math.floor(math.log10(value))))


def _multiply_adds(network: SeparationModel) -> int:
    """Return the multiply-adds of one segment: of convolutions, matrix products and LSTMs."""
    margin = network.context or 0
    mix = torch.empty(1, network.channels, network.segment + 2 * margin)
    counter = _Counter()
    with counter, _lstms_counted(network, counter):
        network(mix, margin) if margin else network(mix)
    return counter.total


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the multiply-adds of all that is computed within it."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is torch.ops.aten.equal.default:  # the inverse STFT asks whether a sum is zero
            return False
        result = func(*args, **(kwargs or {}))
        if formula := flop_registry.get(func._overloadpacket):
            # torch counts multiplications and additions apart.
            self.total += formula(*args, **(kwargs or {}), out_val=result) // 2
        return result


@contextlib.contextmanager
def _lstms_counted(network: nn.Module, counter: _Counter) -> Iterator[None]:
    """Let the LSTMs of ``network`` count at once, which would go on frame by frame otherwise."""
    with contextlib.ExitStack() as stack:
        for module in network.modules():
            if isinstance(module, nn.LSTM):
                forward = _counting(module, counter)
                stack.enter_context(mock.patch.object(module, "forward", forward))
        yield


def _counting(lstm: nn.LSTM, counter: _Counter) -> Callable[[Tensor], tuple[Tensor, None]]:
    """Return what takes the place of ``lstm``: its four gates are products with its weights."""
    weights = sum(p.numel() for name, p in lstm.named_parameters() if name.startswith("weight"))
    outputs = lstm.hidden_size * (2 if lstm.bidirectional else 1)

    def forward(features: Tensor) -> tuple[Tensor, None]:
        counter.total += features.shape[0] * features.shape[1] * weights
        return features.new_empty(*features.shape[:2], outputs), None

    return forward
