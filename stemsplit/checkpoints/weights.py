"""Weights on disk: safetensors files whose header describes their network.

The files are self-contained: the header's metadata hold the version of this layout, the name of the
architecture (``module:Class``), its full configuration as JSON, the origin of the weights, and the
overlap of segments to run them with, if one was published. Reading the header does not need torch.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from stemsplit.checkpoints.safetensors_file import (
    DAMAGED,
    FETCH_AGAIN,
    read_metadata,
    read_tensors,
)
from stemsplit.errors import CheckpointError
from stemsplit.small_files import parse_json

if TYPE_CHECKING:
    from torch import Tensor

    from stemsplit.models.base import SeparationModel

FORMAT_VERSION = "1"
#: The best alignment for a CPU's vector instructions, in bytes.
ALIGNMENT = 64
BARE_HINT = (
    "if it is for one of the supported networks: "
    "stemsplit models convert FILE --architecture NAME --config FILE.yaml"
)


@dataclass(frozen=True, slots=True)
class Weights:
    """The weights of one network, and everything needed to build that network."""

    architecture: str  # "module:Class"
    config: dict[str, Any]  # fields of the architecture's configuration, as plain values
    state: dict[str, Tensor]
    origin: str  # where the weights came from, for display
    overlap: float | None = None  # fraction of a segment; None: that of the architecture


@dataclass(frozen=True, slots=True)
class Header:
    """The metadata in the header of a weights file."""

    architecture: str
    config: dict[str, Any]
    origin: str
    overlap: float | None


def save(weights: Weights, path: str | os.PathLike[str]) -> None:
    """Write ``weights`` to ``path`` as safetensors, floating point as fp32.

    The same weights always produce the same bytes. The file is written atomically. Raises
    ``OSError`` if it cannot be written.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            _write(weights, file)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _write(weights: Weights, file: BinaryIO) -> None:
    # The safetensors package is not used for writing: it orders metadata by a hash that differs
    # from run to run, and holds a second copy of all the data in memory.
    tensors = {name: _storable(name, tensor) for name, tensor in weights.state.items()}
    # Odd sizes come last, so that all other tensors start at a multiple of ALIGNMENT.
    names = sorted(tensors, key=lambda name: (tensors[name].nbytes % ALIGNMENT != 0, name))
    metadata = {
        "stemsplit": FORMAT_VERSION,
        "architecture": weights.architecture,
        "config": json.dumps(weights.config, sort_keys=True),
        "origin": weights.origin,
    }
    if weights.overlap is not None:
        metadata["overlap"] = json.dumps(weights.overlap)
    header: dict[str, Any] = {"__metadata__": metadata}
    end = 0
    for name in names:
        start, end = end, end + tensors[name].nbytes
        header[name] = {
            "dtype": "F32" if tensors[name].is_floating_point() else "I64",
            "shape": list(tensors[name].shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % ALIGNMENT)
    file.write(len(text).to_bytes(8, "little") + text)
    for name in names:
        file.write(tensors[name].numpy().data)


def _storable(name: str, tensor: Tensor) -> Tensor:
    """Return ``tensor`` on the CPU, contiguous, as fp32 or int64."""
    import torch

    if tensor.is_complex():
        raise TypeError(f"{name} is complex")
    dtype = torch.float32 if tensor.is_floating_point() else torch.int64
    return tensor.detach().to("cpu", dtype).contiguous()


def read_header(path: str | os.PathLike[str]) -> Header:
    """Return the header of the weights file at ``path``, without importing torch.

    Raises ``CheckpointError`` for a file that is missing, not safetensors, truncated, or not
    written by this program.
    """
    metadata = read_metadata(path)
    version = metadata.get("stemsplit")
    if version is None:
        raise CheckpointError(
            "a safetensors file without stemsplit's header",
            path=path,
            hint=BARE_HINT,
        )
    if version != FORMAT_VERSION:
        raise CheckpointError(
            f"written in layout {version!r}; this stemsplit reads {FORMAT_VERSION!r}",
            path=path,
            hint="update stemsplit, or fetch the model again",
        )
    try:
        return Header(
            architecture=metadata["architecture"],
            config=dict(parse_json(metadata["config"])),
            origin=metadata["origin"],
            overlap=_read_overlap(metadata),
        )
    except (KeyError, TypeError, ValueError) as exc:
        reason = "its header does not contain a valid architecture, configuration and origin"
        raise CheckpointError(reason, path=path, hint=FETCH_AGAIN) from exc


def _read_overlap(metadata: Mapping[str, str]) -> float | None:
    if "overlap" not in metadata:
        return None
    overlap = float(metadata["overlap"])
    if not 0 <= overlap < 1:
        raise ValueError(overlap)
    return overlap


def read(path: str | os.PathLike[str]) -> Weights:
    """Return the weights in the file at ``path``; the tensors are mapped, not copied.

    Raises ``CheckpointError`` as :func:`read_header` does.
    """
    header = read_header(path)
    state = read_tensors(path)
    return Weights(header.architecture, header.config, state, header.origin, header.overlap)


def load(path: str | os.PathLike[str]) -> SeparationModel:
    """Return the network stored at ``path``, on the CPU and ready to separate.

    Raises ``CheckpointError`` as :func:`read_header` does, and if the tensors are not exactly those
    of the network that the header names.
    """
    return assemble(read(path), path)


def assemble(weights: Weights, path: str | os.PathLike[str]) -> SeparationModel:
    """Return the network that ``weights`` describe, filled with them, on the CPU.

    The network is in evaluation mode, and its parameters need no gradients; the tensors are shared,
    not copied. Raises ``CheckpointError``, naming ``path``, for an unknown architecture, an invalid
    configuration, and tensors that are missing, superfluous or have the wrong shape.
    """
    network = _build_unfilled(weights, path)
    problem = _compare(_signatures(network.state_dict()), _signatures(weights.state))
    if problem is not None:
        raise CheckpointError(
            f"does not fit {weights.architecture}: {problem}",
            path=path,
            hint="the file is damaged, or was made for another network",
        )
    network.load_state_dict(weights.state, strict=True, assign=True)
    if weights.overlap is not None:
        network.overlap = weights.overlap
    return network.eval().requires_grad_(False)


def _build_unfilled(weights: Weights, path: str | os.PathLike[str]) -> SeparationModel:
    """Return the network with parameters that have a shape but no memory yet."""
    from stemsplit.checkpoints.unfilled import unfilled
    from stemsplit.models import architecture

    try:
        network = architecture(weights.architecture)
    except LookupError as exc:
        raise CheckpointError(
            f"made for the unknown architecture {weights.architecture!r:.100}",
            path=path,
            hint="update stemsplit",
        ) from exc
    try:
        with unfilled(len(weights.state)):
            return network.from_config(weights.config)
    except DAMAGED as exc:
        reason = f"its configuration does not fit {weights.architecture}: {exc}"
        raise CheckpointError(reason, path=path, hint="update stemsplit") from exc


def _signatures(state: Mapping[str, Tensor]) -> dict[str, str]:
    return {
        name: f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
        for name, tensor in state.items()
    }


def _compare(needed: Mapping[str, str], found: Mapping[str, str]) -> str | None:
    """Return a description of the first mismatch between ``needed`` and ``found``, or None."""
    missing = [name for name in needed if name not in found]
    superfluous = [name for name in found if name not in needed]
    different = [name for name in needed if name in found and needed[name] != found[name]]
    if missing:
        return f"{missing[0]} is missing{_and_others(missing)}"
    if superfluous:
        return f"{superfluous[0]} is not part of it{_and_others(superfluous)}"
    if different:
        name = different[0]
        return f"{name} is {found[name]}, not {needed[name]}{_and_others(different)}"
    return None


def _and_others(names: list[str]) -> str:
    return f" (and {len(names) - 1} others)" if len(names) > 1 else ""
