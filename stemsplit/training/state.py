"""The state of a run on disk: all tensors and numbers from which it continues to the bit.

A safetensors file, with the numbers as JSON in its header; nothing is unpickled.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, from_numpy

from stemsplit.audio.atomic import part_of, sync_file, sync_folder
from stemsplit.audio.writable import output_error
from stemsplit.checkpoints.safetensors_file import read_metadata, read_tensors
from stemsplit.errors import FREE_SPACE, CheckpointError
from stemsplit.training.batch import Batch

VERSION = 1
KEY = "stemsplit.training"


@dataclass(frozen=True, slots=True)
class TrainingState:
    """Tensors by name, and plain ``values`` for JSON."""

    tensors: dict[str, Tensor]
    values: dict[str, Any]

    def below(self, prefix: str) -> dict[str, Tensor]:
        """Return the tensors whose names start with ``prefix``, without it."""
        return {
            name.removeprefix(prefix): tensor
            for name, tensor in self.tensors.items()
            if name.startswith(prefix)
        }


def save_state(state: TrainingState, path: Path) -> None:
    """Write ``state`` to ``path``, whole or not at all; the same state gives the same bytes.

    Raises ``OutputError``, or ``ResourceError`` for a full disk; the file before it then stays.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    tensors = {
        name: tensor.detach().to("cpu", copy=True).contiguous()
        for name, tensor in sorted(state.tensors.items())
    }
    part = part_of(path)
    try:
        # One key, because the order of several differs from run to run.
        save_file(tensors, part, {KEY: json.dumps({"version": VERSION, **state.values})})
        sync_file(part)
        os.replace(part, path)
        sync_folder(path.parent)
    except SafetensorError as exc:  # it reports a full disk in words only
        raise output_error(_cause(exc), path, room=FREE_SPACE) from exc
    except OSError as exc:
        raise output_error(exc, path, room=FREE_SPACE) from exc
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def _cause(exc: Exception) -> OSError:
    """Return the error of the system behind ``exc``, whose words end with its number."""
    number = re.search(r"os error (\d+)", str(exc))
    return OSError(int(number[1]), os.strerror(int(number[1]))) if number else OSError(str(exc))


def load_state(path: Path) -> TrainingState:
    """Return the state at ``path``. Raises ``CheckpointError`` if it is not one, or damaged."""
    text = read_metadata(path).get(KEY)
    hint = "earlier states are in the folder states; continue from one with --from RUN@STEP"
    if text is None:
        raise CheckpointError("not a state of stemsplit train", path=path, hint=hint)
    values: dict[str, Any] = json.loads(text)
    if values.pop("version") != VERSION:
        raise CheckpointError("written by another version of stemsplit", path=path, hint=hint)
    # Copied, because the file may be replaced while its tensors are mapped.
    tensors = {name: tensor.clone() for name, tensor in read_tensors(path).items()}
    return TrainingState(tensors, values)


def keep_file(path: Path, kept: Path) -> None:
    """Have the file at ``path`` also be at ``kept``, without a copy where the disk allows it."""
    part = part_of(kept)
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, part)
        except OSError:
            shutil.copyfile(path, part)
        os.replace(part, kept)
    except OSError as exc:
        raise output_error(exc, kept, room=FREE_SPACE) from exc
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def save_batch(batch: Batch, path: Path) -> None:
    """Write ``batch`` to ``path`` as tensors, creating its folder. Raises as `save_state` does."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise output_error(exc, path, room=FREE_SPACE) from exc
    tensors = {"sources": from_numpy(batch.sources), "mix": from_numpy(batch.mix)}
    save_state(TrainingState(tensors, {}), path)


def pack_optimizer(state: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors and the plain values of an optimizer's ``state_dict``.

    Its settings are left out: the recipe and the schedule determine them.
    """
    tensors: dict[str, Tensor] = {}
    values: dict[str, Any] = {}
    for number, entries in state["state"].items():
        for name, value in entries.items():
            (tensors if isinstance(value, Tensor) else values)[f"{number}.{name}"] = value
    return tensors, values


def unpack_optimizer(
    tensors: Mapping[str, Tensor], values: Mapping[str, Any]
) -> dict[int, dict[str, Any]]:
    """Return the ``state`` of an optimizer's ``state_dict`` from what `pack_optimizer` returned."""
    state: dict[int, dict[str, Any]] = {}
    for name, value in {**tensors, **values}.items():
        number, _, key = name.partition(".")
        state.setdefault(int(number), {})[key] = value
    return state
