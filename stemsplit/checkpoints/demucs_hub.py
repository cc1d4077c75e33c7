"""The files of Demucs on the Hugging Face hub (``955717e8.safetensors``), of demucs 4.1 and later.

They hold what the pickles of `demucs_pickle` do: the metadata of the header say ``klass`` (the full
name of the class), ``args`` and ``kwargs`` (of its constructor, as JSON), and the tensors are the
state.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

from stemsplit.checkpoints.demucs_pickle import ALLOWED, quantised, read_package
from stemsplit.checkpoints.safetensors_file import read_metadata, read_tensors
from stemsplit.checkpoints.settings import Settings
from stemsplit.checkpoints.weights import Weights
from stemsplit.errors import CheckpointError
from stemsplit.small_files import parse_json

#: A key of the metadata that only the packed numbers of quantised weights need.
QUANTISED = "structure"


def read(path: Path, settings: Settings) -> Weights:
    """Return the weights in the file at ``path``; ``settings`` as in `demucs_pickle.read`.

    Raises ``CheckpointError`` for a class that is none of Demucs', for weights that are quantised,
    and for an argument that our network cannot honour, by its name.
    """
    metadata = read_metadata(path)
    if QUANTISED in metadata:
        raise quantised(path)
    try:
        name = metadata["klass"]
        arguments = tuple(parse_json(metadata["args"]))
        keywords = _decode(parse_json(metadata["kwargs"]))
    except (ArithmeticError, LookupError, TypeError, ValueError) as exc:
        reason = "its header does not hold the class and the arguments of a network of Demucs"
        raise CheckpointError(reason, path=path) from exc
    if name not in ALLOWED:
        raise CheckpointError(f"made for {name:.100}, which is not a network of Demucs", path=path)
    package = {"klass": ALLOWED[name], "args": arguments, "kwargs": keywords}
    return read_package({**package, "state": read_tensors(path)}, path, settings)


def _decode(value: Any) -> Any:
    """Return ``value`` with the fractions in it, such as a segment of 39/5 s, as fractions."""
    if isinstance(value, list):
        return [_decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("_type") == "fraction":
        return Fraction(value["numerator"], value["denominator"])
    return {key: _decode(item) for key, item in value.items()}
