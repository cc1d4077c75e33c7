"""Files that torch pickled: the only place where the program unpickles anything."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stemsplit.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

#: How a file begins that torch wrote before 1.6; later ones are zip archives.
OLD_PICKLE = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."


def read_pickle(path: Path, allowed: Mapping[str, Any]) -> Any:
    """Return what torch pickled into the file at ``path``, its tensors on the CPU.

    Beside tensors and plain containers, the pickle may name only what is in ``allowed``, from full
    names to what stands in for them; nothing gets around that list. Raises ``CheckpointError``,
    naming what is not allowed.
    """
    import torch

    stand_ins: list[Any] = [(stand_in, name) for name, stand_in in allowed.items()]
    try:
        with torch.serialization.safe_globals(stand_ins):
            return torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as exc:  # what a damaged pickle makes torch raise has no common class
        refused = re.search(r"GLOBAL (\S+)", str(exc))
        if refused is None:
            reason = "not a checkpoint that torch can read, or damaged"
            raise CheckpointError(reason, path=path) from exc
        raise CheckpointError(
            f"refused: loading it would run {refused[1]}, which no weights need",
            path=path,
            hint="only files of the supported networks are read; code in them is never run",
        ) from exc


def read_state(path: Path, reason: str) -> dict[str, Tensor]:
    """Return the dict of tensors, and nothing else, in the file at ``path``, as fp32.

    Raises ``CheckpointError`` with ``reason`` where it holds something else.
    """
    from torch import Tensor

    state = read_pickle(path, {})
    if not isinstance(state, dict) or not all(isinstance(t, Tensor) for t in state.values()):
        raise CheckpointError(reason, path=path)
    return {name: tensor.float() for name, tensor in state.items()}
