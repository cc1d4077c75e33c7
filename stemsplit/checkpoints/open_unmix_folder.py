"""Folders written by Open-Unmix's training: a weight file for each target, and their settings.

::

    FOLDER/separator.json   nfft, nhop, sample_rate, nb_channels
    FOLDER/vocals.pth       the weights of a target; vocals-bccbd9aa.pth if published
    FOLDER/vocals.json      its training log, which is not read

Finding the targets needs no torch.
"""

from __future__ import annotations

import errno
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stemsplit.errors import CheckpointError
from stemsplit.git_lfs import refuse_pointer
from stemsplit.small_files import parse_json, read_small
from stemsplit.stem_names import ORDER

if TYPE_CHECKING:
    from torch import Tensor

    from stemsplit.checkpoints.settings import Settings
    from stemsplit.checkpoints.weights import Weights

ARCHITECTURE = "open_unmix:OpenUnmix"
SEPARATOR = "separator.json"
#: Open-Unmix's name for the mixture minus the targets.
RESIDUAL = "residual"
#: The first digits of the SHA-256 at the end of a published name.
_DIGITS = re.compile(r"[-_][0-9a-f]{8}$")


def find_targets(folder: Path) -> dict[str, Path]:
    """Return the weight files in ``folder`` by target.

    Drums, bass, other and vocals come first, then any others in alphabetical order. Returns an
    empty dict for a folder that is not from Open-Unmix.
    """
    if not os.path.isfile(folder / SEPARATOR):  # unlike Path.is_file, also for a name too long
        return {}
    # A name without digits comes last and so takes precedence.
    paths = sorted(folder.glob("*.pth"), key=lambda path: (len(path.name), path.name), reverse=True)
    found = {_DIGITS.sub("", path.stem): path for path in paths if path.is_file()}
    names = [*(stem for stem in ORDER if stem in found), *sorted(found.keys() - set(ORDER))]
    return {name: found[name] for name in names}


def read(folder: Path, settings: Settings) -> Weights:
    """Return the weights in ``folder``; ``settings`` may hold ``residual`` and ``iterations``.

    Raises ``CheckpointError`` for a folder that is not from Open-Unmix or is damaged, and as
    `open_unmix.read_target` does.
    """
    from stemsplit.checkpoints.open_unmix import read_target
    from stemsplit.checkpoints.weights import Weights

    targets = find_targets(folder)
    if not targets and not folder.exists():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(folder))
    if not targets:
        raise not_a_checkpoint(folder)
    state: dict[str, Tensor] = {}
    for number, path in enumerate(targets.values()):
        refuse_pointer(path, CheckpointError)
        for name, tensor in read_target(path).items():
            state[f"targets.{number}.{name}"] = tensor
    separator = _read_separator(folder)
    return Weights(
        architecture=ARCHITECTURE,
        config=separator | _sizes(state, separator) | _filter(list(targets), settings),
        state=state,
        origin="Open-Unmix folder",
    )


def not_a_checkpoint(folder: Path) -> CheckpointError:
    """Return the error for a folder in which Open-Unmix would find no weights."""
    return CheckpointError(
        "is a folder, not a checkpoint",
        path=folder,
        hint=f"only Open-Unmix folders, which contain {SEPARATOR} and TARGET.pth, are supported",
    )


def _read_separator(folder: Path) -> dict[str, Any]:
    """Return the settings of the STFT that all targets share."""
    from stemsplit.models.wiener import EXCERPT

    try:
        values = parse_json(read_small(folder / SEPARATOR))
        n_fft, hop = int(values["nfft"]), int(values["nhop"])
        sample_rate, channels = int(values["sample_rate"]), int(values["nb_channels"])
        if min(n_fft, hop, sample_rate, channels) < 1:
            raise ValueError("not above 0")
    except (ArithmeticError, LookupError, TypeError, ValueError) as exc:
        reason = "does not contain valid nfft, nhop, sample_rate and nb_channels"
        raise CheckpointError(reason, path=folder / SEPARATOR) from exc
    return {
        "sample_rate": sample_rate,
        "channels": channels,
        "n_fft": n_fft,
        "hop": hop,
        "segment": 8 * EXCERPT * hop,  # the published models also filter 8 excerpts per segment
    }


def _sizes(state: Mapping[str, Tensor], separator: Mapping[str, int]) -> dict[str, Any]:
    """Return the sizes that all targets share, from the shapes of the first target's tensors."""
    layers = re.compile(r"targets\.0\.lstm\.weight_ih_l\d+")
    bins = len(state["targets.0.input_mean"])
    return {
        "hidden": state["targets.0.fc1.weight"].shape[0],
        "layers": sum(layers.fullmatch(name) is not None for name in state),
        # The smallest whole number of Hz that yields this many bins.
        "bandwidth": math.ceil((bins - 1) * separator["sample_rate"] / separator["n_fft"]),
    }


def _filter(targets: list[str], settings: Settings) -> dict[str, Any]:
    """Return the stems and the settings of their filter, which default to those of Open-Unmix."""
    residual = settings.values.get("residual", False)
    # A single source cannot be filtered; it keeps the phase of the mixture.
    iterations = settings.values.get("iterations", 1 if residual or len(targets) > 1 else 0)
    sources = [*targets, RESIDUAL] if residual else targets
    return {"sources": sources, "residual": residual, "iterations": iterations}
