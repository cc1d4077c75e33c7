"""Files of Music-Source-Separation-Training, in which the community publishes its networks.

Such a file (``.ckpt``, ``.pth``, ``.pt``) is a pickled dict of tensors, sometimes inside another
dict, or the same tensors as safetensors. It does not say which network it is for: a YAML file
beside it does. Tensors are called as in our own networks of these architectures.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stemsplit.checkpoints.pickles import as_float32, read_pickle
from stemsplit.checkpoints.safetensors_file import is_safetensors, read_tensors
from stemsplit.checkpoints.weights import Weights
from stemsplit.errors import CheckpointError
from stemsplit.models.roformer import rotary_frequencies

#: What the dict of tensors is called in files that hold more than that.
WRAPPERS = ("state_dict", "state", "model_state_dict")
#: What precedes every name when a network was saved as a part of what trained it.
PREFIXES = ("model.", "module.")
#: Rotary frequencies are not weights, but are stored with each attention, sometimes in fp16.
ROTARY = "rotary_embed.freqs"
ROTARY_TOLERANCE = 2e-3


def read(path: Path, architecture: str, config: Mapping[str, Any]) -> Weights:
    """Return the weights in ``path``, a file of ``architecture`` with ``config``.

    Raises ``CheckpointError`` for a pickle that names more than tensors and plain containers, for
    one that holds no dict of tensors, and for rotary frequencies that are not our network's.
    """
    package = read_tensors(path) if is_safetensors(path) else read_pickle(path, {})
    state = _find_state(package, path)
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    kept = {name: each for name, each in state.items() if not _is_rotary(name, each, path)}
    return Weights(
        architecture=architecture,
        config=dict(config),
        state=as_float32(kept, path),
        origin="Music-Source-Separation-Training checkpoint",
    )


def _find_state(package: Any, path: Path) -> dict[str, Tensor]:
    """Return the dict of tensors that ``package`` is, or holds."""
    if isinstance(package, dict):
        for state in (package, *(package.get(name) for name in WRAPPERS)):
            if (
                isinstance(state, dict)
                and state
                and all(isinstance(name, str) for name in state)
                and all(isinstance(tensor, Tensor) for tensor in state.values())
            ):
                return state
    raise CheckpointError("holds no weights of a network", path=path)


def _is_rotary(name: str, tensor: Tensor, path: Path) -> bool:
    """Return whether ``tensor`` holds rotary frequencies, which our networks compute themselves."""
    if not name.endswith(ROTARY):
        return False
    expected = rotary_frequencies(2 * tensor.numel())
    found = tensor.float()
    if found.shape != expected.shape or not torch.allclose(
        found, expected, rtol=ROTARY_TOLERANCE, atol=0
    ):
        raise CheckpointError(f"{name}: other frequencies than the network has", path=path)
    return True
