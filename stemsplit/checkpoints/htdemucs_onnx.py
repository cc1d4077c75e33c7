"""The weights of HTDemucs, recovered from a graph that torch exported to ONNX.

The exporter keeps the name of a parameter that it writes unchanged. A parameter that it folds into
a constant (transposed, reshaped or sliced) becomes anonymous (``onnx::MatMul_5291``). The node that
reads the constant then identifies the parameter, because nodes are named by their module's path.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stemsplit.checkpoints.settings import Settings
from stemsplit.checkpoints.weights import Weights
from stemsplit.errors import CheckpointError
from stemsplit.models.demucs_layers import FREQUENCY_EMBEDDING_SCALE


def _unscale(constant: Tensor) -> Tensor:
    """Return the embedding ``(F, C)`` in ``constant`` ``(1, C, F, 1)``, with its scale removed."""
    embedding = (constant[0, :, :, 0].t() / FREQUENCY_EMBEDDING_SCALE).half().float()
    if not torch.equal(embedding.t() * FREQUENCY_EMBEDDING_SCALE, constant[0, :, :, 0]):
        raise ValueError("the frequency embedding is not a multiple of its scale")
    return embedding


#: Which parameter a node reads: a pattern of the node's path, the parameter's name, the constant's
#: position among the parts that form the parameter, and the function that undoes the folding.
READERS: tuple[tuple[str, str, int, Callable[[Tensor], Tensor]], ...] = (
    (r"(.+\.linear[12])\.MatMul", r"\1.weight", 0, Tensor.t),
    (r"(.+\.self_attn)\.MatMul", r"\1.in_proj_weight", 0, Tensor.t),
    # The query comes first, then key and value.
    (r"(.+\.cross_attn)\.MatMul", r"\1.in_proj_weight", 0, Tensor.t),
    (r"(.+\.cross_attn)\.MatMul_1", r"\1.in_proj_weight", 1, Tensor.t),
    (r"(.+\.cross_attn)\.Add", r"\1.in_proj_bias", 0, Tensor.flatten),
    (r"(.+\.cross_attn)\.Add_1", r"\1.in_proj_bias", 1, Tensor.flatten),
    (r"(.+\.norm_out|.+\.dconv\.layers\.\d\.[14])\.Mul", r"\1.weight", 0, Tensor.flatten),
    (r"(.+\.norm_out|.+\.dconv\.layers\.\d\.[14])\.Add", r"\1.bias", 0, Tensor.flatten),
    (r"(.+\.dconv\.layers\.\d\.6)\.Mul", r"\1.scale", 0, Tensor.flatten),
    (r"Expand", "freq_emb.embedding.weight", 0, _unscale),
)


def read(path: Path, settings: Settings) -> Weights:
    """Return the weights of the published HTDemucs in an ONNX file.

    Every constant of the graph is checked, but not the computation itself, so only the files that
    the registry lists are accepted. Raises ``CheckpointError`` for any other file, for one that is
    not ONNX, and for a graph with a constant that HTDemucs lacks, or that is not exact in half
    precision as the published ones are.
    """
    graph = _load_graph(path)
    try:
        state = collect_parameters(graph)
        for name, tensor in state.items():
            if not torch.equal(tensor, tensor.half().float()):
                raise ValueError(f"{name} is not exact in half precision")
    except (IndexError, RuntimeError, ValueError) as exc:
        raise CheckpointError(f"not the expected export of HTDemucs: {exc}", path=path) from exc
    if not settings.as_published:
        raise CheckpointError(
            "not the published ONNX export of HTDemucs, the only one whose settings are known",
            path=path,
            hint="use the checkpoint that it was exported from: stemsplit models convert reads it",
        )
    return Weights(
        architecture="htdemucs:HTDemucs",
        config={},  # the published configuration, which the shapes are checked against
        state=state,
        origin="ONNX export of HTDemucs",
    )


def _load_graph(path: Path) -> Any:
    """Return the graph of the ONNX file at ``path``, without opening any external data files."""
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        # Without ``format``, onnx would choose a text format by the file's extension.
        return onnx.load_model(path, format="protobuf", load_external_data=False).graph
    except DecodeError as exc:
        raise CheckpointError("not an ONNX file, or damaged", path=path) from exc


def collect_parameters(graph: Any) -> dict[str, Tensor]:
    """Return the parameters in ``graph`` (an ``onnx.GraphProto``) by their names in torch.

    Raises ``ValueError`` for a constant that no rule matches, or two for the same place.
    """
    readers: dict[str, list[str]] = defaultdict(list)
    for node in graph.node:
        for constant in node.input:
            readers[constant].append(node.name)
    parts: dict[str, dict[int, Tensor]] = defaultdict(dict)
    for constant in graph.initializer:
        tensor = _tensor(constant)
        name, position = constant.name, 0
        if name.startswith("onnx::"):
            name, position, undo = _identify(name, readers[name])
            tensor = undo(tensor)
        if position in parts[name]:
            raise ValueError(f"{name} occurs twice")
        parts[name][position] = tensor
    return {name: _join(name, found) for name, found in parts.items()}


def _tensor(constant: Any) -> Tensor:
    """Return the value of ``constant``, an ``onnx.TensorProto`` of fp32 stored in place."""
    from onnx import TensorProto, numpy_helper

    if constant.data_type != TensorProto.FLOAT or constant.data_location == TensorProto.EXTERNAL:
        raise ValueError(f"{constant.name} is not fp32, or stored elsewhere")
    return torch.tensor(numpy_helper.to_array(constant))


def _identify(constant: str, readers: Iterable[str]) -> tuple[str, int, Callable[[Tensor], Tensor]]:
    """Return the parameter that ``constant`` belongs to, its position there, and how to unfold it.

    The first item is the parameter's name.
    """
    paths = [module_path(node) for node in readers]
    for pattern, name, position, undo in READERS:
        for path in paths:
            if match := re.fullmatch(pattern, path):
                return match.expand(name), position, undo
    raise ValueError(f"no rule for {constant}, read by {', '.join(paths) or 'nothing'}")


def module_path(node: str) -> str:
    """Return the path of ``node`` in the network, in the form that parameter names have.

    The exporter repeats the name of a list before its item: ``/dconv/layers.0/layers.0.1/Mul`` is
    ``dconv.layers.0.1.Mul``.
    """
    parts: list[str] = []
    for part in node.strip("/").split("/"):
        if parts and part.startswith(parts[-1] + "."):
            parts.pop()
        parts.append(part)
    return ".".join(parts)


def _join(name: str, parts: dict[int, Tensor]) -> Tensor:
    """Return ``parts`` concatenated in order along the first axis."""
    if sorted(parts) != list(range(len(parts))):
        raise ValueError(f"a part of {name} is missing")
    return torch.cat([parts[position] for position in sorted(parts)]).contiguous()
