"""The costs and receptive fields of networks: ``stemsplit/checkpoints/costs.toml``.

``python -m stemsplit.docgen costs`` builds every network of the registry, with its configuration
and without weights, on torch's device "meta", where tensors have shapes but no values. Operations
are counted from the shapes of a whole segment, which takes about a second for each network.
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
# Made by `python -m stemsplit.docgen costs`. For each network in registry.toml: multiply-adds per
# second of audio, overlap included; and how many frames it looks back and ahead, where that is
# less than its segment. See `costs.py`.
"""
#: Significant digits; more would be misleading, as FFTs and element-wise operations are ignored.
DIGITS = 3
#: Iterates until convergence, so its operations depend on the song.
_UNCOUNTED = ("ica:ICA",)


def render_costs() -> str:
    """Return the content of the file with the costs of all networks in the registry."""
    lines = [_HEAD]
    for model in list_models():
        if model.architecture:
            facts = ", ".join(f"{key} = {value:_}" for key, value in measure(model).items())
            lines.append(f'"{model.name}" = {{ {facts} }}' if facts else f'"{model.name}" = {{}}')
    return "\n".join(lines) + "\n"


def measure(model: Model) -> dict[str, int]:
    """Return the facts in the file about ``model``, a single network, by key."""
    facts = {}
    # Autocast, which these networks turn off for some layers, does not support the device.
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
    """Return the multiply-adds for one segment, in convolutions, matrix products and LSTMs."""
    margin = network.context or 0
    mix = torch.empty(1, network.channels, network.segment + 2 * margin)
    counter = _Counter()
    with counter, _lstms_counted(network, counter):
        network(mix, margin) if margin else network(mix)
    return counter.total


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the multiply-adds of all operations inside the context."""

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
        if func is torch.ops.aten.equal.default:  # deep clustering checks whether it is done
            return False
        result = func(*args, **(kwargs or {}))
        if formula := flop_registry.get(func._overloadpacket):
            # torch counts multiplications and additions separately.
            self.total += formula(*args, **(kwargs or {}), out_val=result) // 2
        return result


@contextlib.contextmanager
def _lstms_counted(network: nn.Module, counter: _Counter) -> Iterator[None]:
    """Count the LSTMs of ``network`` in one step each, not frame by frame."""
    with contextlib.ExitStack() as stack:
        for module in network.modules():
            if isinstance(module, nn.LSTM):
                forward = _counting(module, counter)
                stack.enter_context(mock.patch.object(module, "forward", forward))
        yield


def _counting(lstm: nn.LSTM, counter: _Counter) -> Callable[[Tensor], tuple[Tensor, None]]:
    """Return a replacement for ``lstm``: its four gates are products with its weights."""
    weights = sum(p.numel() for name, p in lstm.named_parameters() if name.startswith("weight"))
    outputs = lstm.hidden_size * (2 if lstm.bidirectional else 1)

    def forward(features: Tensor) -> tuple[Tensor, None]:
        counter.total += features.shape[0] * features.shape[1] * weights
        return features.new_empty(*features.shape[:2], outputs), None

    return forward
