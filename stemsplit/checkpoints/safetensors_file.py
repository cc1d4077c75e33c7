"""Safetensors files of any program: a header in JSON, followed by the tensors.

Reading the header does not need torch.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from stemsplit.errors import CheckpointError
from stemsplit.small_files import open_regular, parse_json

if TYPE_CHECKING:
    from torch import Tensor

#: The limit for the JSON before the data, in bytes; HTDemucs has 60 000. Once parsed, it may take
#: thirty times as much memory.
LARGEST_HEADER = 8 * 2**20
#: Exceptions raised by code that reads or uses unexpected values.
DAMAGED = (
    *(ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, RuntimeError),
    *(TypeError, ValueError),
)
FETCH_AGAIN = "fetch or convert the model again"


def is_safetensors(path: Path) -> bool:
    """Return whether the file at ``path`` begins like safetensors: with a length and JSON."""
    with open_regular(path) as file:
        start, size = file.read(9), os.fstat(file.fileno()).st_size
    length = int.from_bytes(start[:8], "little")
    return start[8:] == b"{" and length < size


def read_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """Return the metadata in the header of the file at ``path``.

    Raises ``CheckpointError`` for a file that is missing, not safetensors, or truncated.
    """
    path = Path(path)
    try:
        with open_regular(path) as file:
            header = _read_header(file)
            size = os.fstat(file.fileno()).st_size
    except OSError as exc:
        raise CheckpointError(f"cannot be read: {exc.strerror or exc}", path=path) from exc
    except (AttributeError, LookupError, TypeError, ValueError) as exc:
        raise CheckpointError(
            "not a safetensors file, or truncated in its header", path=path, hint=FETCH_AGAIN
        ) from exc
    if size != header.end:
        reason = f"damaged: has {size} bytes, but {header.end} according to its header"
        raise CheckpointError(reason, path=path, hint=FETCH_AGAIN)
    return header.metadata


@dataclass(frozen=True, slots=True)
class _Header:
    metadata: dict[str, str]
    end: int  # bytes from the start of the file to the end of its data


def _read_header(file: BinaryIO) -> _Header:
    """Read the header, which precedes the data: 8 bytes of length, little-endian, then JSON."""
    length = int.from_bytes(file.read(8), "little")
    if not 2 <= length <= LARGEST_HEADER:
        raise ValueError(length)
    entries = parse_json(file.read(length))
    metadata = dict(entries.pop("__metadata__", {}))
    return _Header(
        metadata=metadata,
        end=8 + length + max((entry["data_offsets"][1] for entry in entries.values()), default=0),
    )


def read_tensors(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Return the tensors in the file at ``path``; they are mapped, not copied.

    Raises ``CheckpointError`` for a file that is not safetensors, or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, *DAMAGED) as exc:
        raise CheckpointError(f"damaged: {exc}", path=path, hint=FETCH_AGAIN) from exc
