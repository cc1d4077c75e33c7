"""Open-Unmix's published files (``.pth``): one dict of tensors for each target.

A file does not name its target or its network. Its tensors have the same names as in
:class:`~stemsplit.models.open_unmix.Target`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from stemsplit.checkpoints.pickles import read_pickle
from stemsplit.checkpoints.weights import Weights
from stemsplit.errors import CheckpointError

#: Before version 1.0, a target also held its STFT: the window twice, and the sample rate in Hz.
TRANSFORM = frozenset({"stft.window", "transform.0.window", "sample_rate"})


def read(*paths: Path, architecture: str, config: Mapping[str, Any]) -> Weights:
    """Return the weights in ``paths``, one file for each target, in the order of the sources.

    Raises ``CheckpointError`` for a pickle that names more than tensors and plain containers, and
    for one that is not a dict of tensors.
    """
    state = {}
    for number, path in enumerate(paths):
        for name, tensor in read_target(path).items():
            state[f"targets.{number}.{name}"] = tensor
    return Weights(
        architecture=architecture, config=dict(config), state=state, origin="Open-Unmix checkpoint"
    )


def read_target(path: Path) -> dict[str, Tensor]:
    """Return the tensors of the target in the file at ``path``, by their names in `Target`.

    Raises ``CheckpointError`` as `read` does.
    """
    state = read_pickle(path, {})
    if isinstance(state, dict) and state and all(isinstance(t, Tensor) for t in state.values()):
        return {name: tensor for name, tensor in state.items() if name not in TRANSFORM}
    raise CheckpointError("does not contain the weights of an Open-Unmix target", path=path)
