"""The Demucs files on the Hugging Face hub (``955717e8.safetensors``), for demucs 4.1 and later.

They hold the same as the pickles of `demucs_pickle`: the header's metadata contain ``klass`` (the
full name of the class), ``args`` and ``kwargs`` (of its constructor, as JSON); the tensors are the
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

#: A metadata key that exists only for the packed numbers of quantised weights.
QUANTISED = "structure"


def read(path: Path, settings: Settings) -> Weights:
    """Return the weights in the file at ``path``; ``settings`` as in `demucs_pickle.read`.

    Raises ``CheckpointError`` for a class that is not part of Demucs, for quantised weights, and
    for an argument that our network does not support, naming it.
    """
    metadata = read_metadata(path)
    if QUANTISED in metadata:
        raise quantised(path)
    try:
        name = metadata["klass"]
        arguments = tuple(parse_json(metadata["args"]))
        keywords = _decode(parse_json(metadata["kwargs"]))
    except (ArithmeticError, LookupError, TypeError, ValueError) as exc:
        reason = "its header does not contain the class and arguments of a Demucs network"
        raise CheckpointError(reason, path=path) from exc
    if name not in ALLOWED:
        raise CheckpointError(f"made for {name:.100}, which is not a Demucs network", path=path)
    package = {"klass": ALLOWED[name], "args": arguments, "kwargs": keywords}
    return read_package({**package, "state": read_tensors(path)}, path, settings)


def _decode(value: Any) -> Any:
    """Return ``value`` with its encoded fractions (a segment of 39/5 s) as Fraction objects."""
    if isinstance(value, list):
        return [_decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("_type") == "fraction":
        return Fraction(value["numerator"], value["denominator"])
    return {key: _decode(item) for key, item in value.items()}
