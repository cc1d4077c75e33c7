"""Files that torch pickled. Nothing else in the program unpickles data."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stemsplit.checkpoints.zips import BAD_ZIP, open_zip
from stemsplit.errors import CheckpointError

#: How many times larger than an archive its inflated content may be.
MOST_INFLATED = 4

if TYPE_CHECKING:
    from torch import Tensor

#: The first bytes of a file written by torch before 1.6; later files are zip archives.
OLD_PICKLE = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."


def read_pickle(path: Path, allowed: Mapping[str, Any]) -> Any:
    """Return the object that torch pickled into the file at ``path``, with tensors on the CPU.

    Besides tensors and plain containers, the pickle may use only the full names in ``allowed``,
    which maps them to their placeholders. Nothing bypasses that list. Raises ``CheckpointError``,
    naming what is not allowed.
    """
    import torch

    _refuse_inflated(path)
    stand_ins: list[Any] = [(stand_in, name) for name, stand_in in allowed.items()]
    try:
        with torch.serialization.safe_globals(stand_ins):
            return torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as exc:  # torch's errors for damaged pickles have no common class
        refused = re.search(r"GLOBAL (\S+)", str(exc))
        if refused is None:
            reason = "not a checkpoint that torch can read, or damaged"
            raise CheckpointError(reason, path=path) from exc
        raise CheckpointError(
            f"refused: loading it would run {refused[1]}, which no weights need",
            path=path,
            hint="only files of the supported networks are read; code in files is never run",
        ) from exc


def read_state(path: Path, reason: str) -> dict[str, Tensor]:
    """Return the dict of tensors in the file at ``path``, as fp32.

    Raises ``CheckpointError`` with ``reason`` if the file contains anything else.
    """
    from torch import Tensor

    state = read_pickle(path, {})
    if not isinstance(state, dict) or not all(isinstance(t, Tensor) for t in state.values()):
        raise CheckpointError(reason, path=path)
    return as_float32(state, path)


def as_float32(state: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Return ``state`` with its floating-point tensors as fp32.

    Raises ``CheckpointError`` for a tensor with more values than the file stores for it: a pickle
    may repeat a number along an axis of any length, and the conversion would write all of them out.
    """
    for name, tensor in state.items():
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise CheckpointError(f"{name!s:.100} has more values than the file", path=path)
    return {
        name: tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in state.items()
    }


def _refuse_inflated(path: Path) -> None:
    """Raise ``CheckpointError`` for a zip archive that inflates to a much larger size.

    torch stores tensors uncompressed, but reads each member into memory, however large.
    """
    if not zipfile.is_zipfile(path):
        return
    try:
        with open_zip(path) as archive:
            inflated = sum(member.file_size for member in archive.infolist())
    except BAD_ZIP as exc:
        raise CheckpointError(f"damaged: {exc}", path=path) from exc
    if inflated > MOST_INFLATED * path.stat().st_size:
        reason = f"refused: its {path.stat().st_size} bytes would inflate to {inflated}"
        raise CheckpointError(reason, path=path)
