"""Spleeter's official archives (``2stems.tar.gz`` and so on), each with a TensorFlow checkpoint.

Variables are named by their kind and numbered across the networks of all stems. Each stem has seven
convolutions (six down, and the final one), six transposed ones and twelve norms (six on each side).
"""

from __future__ import annotations

import gzip
import io
import re
import tarfile
import zlib
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stemsplit.checkpoints.settings import Settings, check_stems
from stemsplit.checkpoints.tensorflow_bundle import read_floats
from stemsplit.checkpoints.weights import Weights
from stemsplit.errors import CheckpointError
from stemsplit.models.spleeter import SpleeterConfig

ARCHITECTURE = "spleeter:Spleeter"
LEVELS = len(SpleeterConfig().widths)
#: Settings that an archive lacks, because Spleeter keeps them in a separate file.
OPEN = (
    *("sources", "sample_rate", "window", "hop", "bins", "block"),
    *("activation", "softmax", "mask_extension"),
)
#: The largest size that an archive may inflate to, in bytes; that of 5 stems has 200 MB.
LARGEST = 2**29
CONVOLUTION = {"kernel": "weight", "bias": "bias"}
NORM = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
_NETWORK = re.compile(r"(conv2d|conv2d_transpose|batch_normalization)(_\d+)?/[a-z_]+")


def read(path: Path, settings: Settings) -> Weights:
    """Return the weights in the archive at ``path``; ``settings`` hold `OPEN`.

    Raises ``CheckpointError`` for an archive that is damaged or does not contain these networks,
    and for an unknown setting.
    """
    try:
        variables = read_floats(*_members(path))
    except (tarfile.TarError, EOFError, ValueError, zlib.error) as exc:
        reason = f"not a Spleeter archive, or damaged: {exc}"
        raise CheckpointError(reason, path=path) from exc
    # An optimiser's state has longer names, such as conv2d/kernel/Adam.
    networks = {name: value for name, value in variables.items() if _NETWORK.fullmatch(name)}
    count = sum(bool(re.fullmatch(r"conv2d(_\d+)?/kernel", name)) for name in networks)
    stems, rest = divmod(count, LEVELS + 1)
    if rest or not stems:
        raise CheckpointError(
            f"has {count} convolutions, which is not a multiple of {LEVELS + 1}", path=path
        )
    names = {name: ours for stem in range(stems) for name, ours in variable_names(stem).items()}
    for name in sorted(set(names) ^ set(networks)):
        reason = "is missing" if name in names else "is not part of it"
        raise CheckpointError(f"not the U-Nets of Spleeter: {name} {reason}", path=path)
    known = settings.require(path, ARCHITECTURE, OPEN)
    check_stems(known.get("sources"), stems, path)
    state = {ours: _tensor(networks[name]) for name, ours in names.items() if ours}
    for name in [name for name in state if name.endswith("running_mean")]:
        state[name.replace("running_mean", "num_batches_tracked")] = torch.tensor(0)
    kind = "official" if settings.as_published else "another"
    return Weights(
        architecture=ARCHITECTURE,
        config=known,
        state=state,
        origin=f"Spleeter {stems}stems, {kind} archive",
    )


def variable_names(stem: int) -> dict[str, str]:
    """Return the name in our Spleeter of each variable of the network number ``stem``.

    The norm of the deepest level has an empty name: the published network discards its result.
    """
    layers: dict[str, tuple[str, dict[str, str]]] = {}
    for level in range(LEVELS):
        layers[_count("conv2d", stem * (LEVELS + 1) + level)] = (f"down.{level}", CONVOLUTION)
        layers[_count("conv2d_transpose", stem * LEVELS + level)] = (f"up.{level}", CONVOLUTION)
        down = f"down_norms.{level}" if level < LEVELS - 1 else ""
        layers[_count("batch_normalization", stem * 2 * LEVELS + level)] = (down, NORM)
        up = _count("batch_normalization", (stem * 2 + 1) * LEVELS + level)
        layers[up] = (f"up_norms.{level}", NORM)
    layers[_count("conv2d", stem * (LEVELS + 1) + LEVELS)] = ("last", CONVOLUTION)
    return {
        f"{layer}/{theirs}": f"networks.{stem}.{ours}.{field}" if ours else ""
        for layer, (ours, fields) in layers.items()
        for theirs, field in fields.items()
    }


def _count(kind: str, number: int) -> str:
    return f"{kind}_{number}" if number else kind


def _tensor(values: NDArray[np.float32]) -> Tensor:
    """Return ``values`` in torch's axis order.

    TensorFlow's kernels are (height, width, in, out) for convolutions, and (height, width, out, in)
    for transposed ones; torch has the last two in reverse order for both, before height and width.
    """
    tensor = torch.from_numpy(np.array(values))
    return tensor.permute(3, 2, 0, 1).contiguous() if tensor.ndim == 4 else tensor


class _Bounded(io.BufferedIOBase):
    """The content of a gzip file, limited to `LARGEST` bytes: a small file may inflate to more."""

    def __init__(self, path: Path) -> None:
        self._file = gzip.GzipFile(path)
        self._left = LARGEST

    def read(self, size: int | None = -1) -> bytes:
        data = self._file.read(self._left + 1 if size is None or size < 0 else size)
        self._left -= len(data)
        if self._left < 0:
            raise ValueError(f"it inflates to more than {LARGEST} bytes")
        return data

    def close(self) -> None:
        self._file.close()
        super().close()


def _members(path: Path) -> tuple[bytes, bytes]:
    """Return the index and the data of the only checkpoint in the archive."""
    found: dict[str, bytes] = {}
    with _Bounded(path) as content, tarfile.open(fileobj=content, mode="r|") as archive:
        for entry in archive:
            name = Path(entry.name).name
            kind = "index" if name.endswith(".index") else "data"
            # Ignore links, whose target may be missing.
            wanted = name.endswith((".index", "-00001")) and entry.isreg()
            stream = archive.extractfile(entry) if wanted else None
            if stream is not None:
                found[kind] = stream.read()
    if len(found) != 2:
        raise ValueError("it does not contain a checkpoint")
    return found["index"], found["data"]
