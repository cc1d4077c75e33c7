"""Music-Source-Separation-Training files, in which the community publishes its networks.

Such a file (``.ckpt``, ``.pth``, ``.pt``) is a pickled dict of tensors, sometimes nested in another
dict, or the same tensors as safetensors. The network is described not in this file but in a YAML
file beside it. The tensors have the same names as in our own networks of these architectures.
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

#: Keys of the dict of tensors in files that hold more than that.
WRAPPERS = ("state_dict", "state", "model_state_dict")
#: Prefixes of all names if a network was saved as part of a training wrapper.
PREFIXES = ("model.", "module.")
#: Rotary frequencies are not weights, but are stored with each attention, sometimes in fp16.
ROTARY = "rotary_embed.freqs"
ROTARY_TOLERANCE = 2e-3


def read(path: Path, architecture: str, config: Mapping[str, Any]) -> Weights:
    """Return the weights in ``path``, a file of ``architecture`` with ``config``.

    Raises ``CheckpointError`` for a pickle that names more than tensors and plain containers, for
    one without a dict of tensors, and for rotary frequencies that differ from our network's.
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
    """Return ``package`` if it is a dict of tensors, or the one that it contains."""
    if isinstance(package, dict):
        for state in (package, *(package.get(name) for name in WRAPPERS)):
            if (
                isinstance(state, dict)
                and state
                and all(isinstance(name, str) for name in state)
                and all(isinstance(tensor, Tensor) for tensor in state.values())
            ):
                return state
    raise CheckpointError("does not contain the weights of a network", path=path)


def _is_rotary(name: str, tensor: Tensor, path: Path) -> bool:
    """Return whether ``tensor`` holds rotary frequencies, which our networks compute themselves."""
    if not name.endswith(ROTARY):
        return False
    expected = rotary_frequencies(2 * tensor.numel())
    found = tensor.float()
    if found.shape != expected.shape or not torch.allclose(
        found, expected, rtol=ROTARY_TOLERANCE, atol=0
    ):
        raise CheckpointError(f"{name}: frequencies differ from the network's", path=path)
    return True
