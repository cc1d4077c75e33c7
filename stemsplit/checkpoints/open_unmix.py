"""Open-Unmix's published files (``.pth``): one dict of tensors for each target.

A file does not say which target it is for, nor of which network. Its tensors are called as in
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

#: Until version 1.0, a target held its STFT as well: the window twice, and the rate in Hz.
TRANSFORM = frozenset({"stft.window", "transform.0.window", "sample_rate"})


def read(*paths: Path, architecture: str, config: Mapping[str, Any]) -> Weights:
    """Return the weights in ``paths``, a file for each target in the order of the sources.

    Raises ``CheckpointError`` for a pickle that names more than tensors and plain containers, and
    for one that holds no dict of tensors.
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
    raise CheckpointError("holds no weights of an Open-Unmix target", path=path)
