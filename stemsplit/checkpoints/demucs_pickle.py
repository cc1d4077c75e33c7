"""The official files of Demucs (``955717e8-8726e21a.th``): pickles of a class and its weights.

From v2 on, such a file is a dict of ``klass`` (the class object), ``args`` and ``kwargs`` (of its
constructor), ``state`` (tensors, in half precision from v3 on) and, unread here, ``training_args``
and ``metrics``. In v1 it is a tuple of the first four. v2 published its weights, and torchaudio
publishes those of its Hybrid Demucs, as a dict of tensors alone, whose shapes imply the rest.
"""

from __future__ import annotations

import io
import pickletools
import re
import shutil
from collections.abc import Mapping
from fractions import Fraction
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

from torch import Tensor

from stemsplit.checkpoints.demucs_arguments import (
    DEMUCS,
    DEMUCS_V3,
    HDEMUCS,
    HTDEMUCS,
    STEMS,
    Constructor,
)
from stemsplit.checkpoints.pickles import OLD_PICKLE, as_float32, read_pickle, read_state
from stemsplit.checkpoints.weights import Weights
from stemsplit.errors import CheckpointError
from stemsplit.models.demucs_layers import EPSILON


class PublishedHTDemucs:
    """Stands for the class object in the file; it does nothing."""


class PublishedHDemucs:
    """The same for Hybrid Demucs."""


class PublishedDemucsV3:
    """The same for the waveform network of v3."""


class PublishedDemucs:
    """The same for the network of v1 and v2."""


class Unread:
    """Stands for numbers among the metrics, which nothing reads; it keeps none of its arguments."""

    def __init__(self, *arguments: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


#: All that the official files name beside tensors and containers.
ALLOWED: dict[str, Any] = {
    "demucs.htdemucs.HTDemucs": PublishedHTDemucs,
    "demucs.hdemucs.HDemucs": PublishedHDemucs,
    "demucs.wdemucs.WDemucs": PublishedHDemucs,  # what it was called at first
    "demucs.demucs.Demucs": PublishedDemucsV3,
    "demucs.model.Demucs": PublishedDemucs,
    "fractions.Fraction": Fraction,
    "numpy.dtype": Unread,
    "numpy.core.multiarray.scalar": Unread,
    "numpy._core.multiarray.scalar": Unread,
}
CONSTRUCTORS: dict[object, Constructor] = {
    PublishedHTDemucs: HTDEMUCS,
    PublishedHDemucs: HDEMUCS,
    PublishedDemucsV3: DEMUCS_V3,
    PublishedDemucs: DEMUCS,
}
#: The class is within so many operations of a pickle.
OPENING = 50
#: Seconds that v1, v2 and the published v3 run on at a time. Of v3 the files hold another figure,
#: but every list of its models replaces it by this one. Torchaudio's tutorial takes 10 s.
SECONDS = {"v1": 10, "v2": 40, "v3": 44, "torchaudio": 10}


def read(path: Path) -> Weights:
    """Return the weights in an official file.

    Raises ``CheckpointError`` for a pickle that names more than :data:`ALLOWED`, for weights that
    are quantised, and for an argument that our network cannot honour, by its name.
    """
    with path.open("rb") as file:
        old = file.read(len(OLD_PICKLE)) == OLD_PICKLE
    package = _read_old(path) if old else read_pickle(path, ALLOWED)
    first = isinstance(package, tuple) and len(package) == 4
    if first:
        package = dict(zip(("klass", "args", "kwargs", "state"), package, strict=True))
    if not (
        isinstance(package, dict)
        and package.get("klass") in CONSTRUCTORS
        and package.get("args") == ()
        and isinstance(package.get("kwargs"), dict)
        and isinstance(package.get("state"), dict)
    ):
        raise CheckpointError("not a checkpoint of Demucs", path=path)
    constructor = CONSTRUCTORS[package["klass"]]
    state = package["state"]
    if not all(isinstance(tensor, Tensor) for tensor in state.values()):
        reason = "its weights are quantised by the package diffq, which is not supported"
        raise CheckpointError(reason, path=path)
    state = as_float32(state, path)
    version = constructor.version
    if constructor is DEMUCS:
        version = "v1" if first else "v2"
    try:
        config = _configure(constructor, package["kwargs"], version)
    except (ArithmeticError, LookupError, TypeError, ValueError) as exc:
        reason = f"made for a network that is not supported: {exc}"
        raise CheckpointError(reason, path=path) from exc
    return Weights(
        architecture=constructor.architecture,
        config=config,
        state=_without_scale(state, path) if version == "v2" else state,
        origin=f"Demucs {version} checkpoint",
    )


def _read_old(path: Path) -> Any:
    """Return what a file of before torch 1.6 holds, as :func:`read_pickle` does.

    There, a class is wrapped in a tuple that also holds its source code, and that tuple is marked
    as something to be looked up, which torch's safe reader refuses. So the file is read from a copy
    without the mark, one byte less; the tuple then stands where the class was.
    """
    with path.open("rb") as file:
        try:
            for _ in range(3):  # a magic number, a version, and what machine it was
                for _ in pickletools.genops(file):
                    pass
            mark = _find_mark(file)
        except ValueError as exc:
            raise CheckpointError("not a checkpoint that torch can read", path=path) from exc
        if mark is None:
            return read_pickle(path, ALLOWED)
        with TemporaryDirectory(dir=path.parent) as folder:
            copy = Path(folder) / path.name
            file.seek(0)
            with copy.open("wb") as unmarked:
                unmarked.write(file.read(mark))
                file.seek(1, io.SEEK_CUR)
                shutil.copyfileobj(file, unmarked)
            try:
                package = read_pickle(copy, ALLOWED)
            except CheckpointError as exc:
                raise CheckpointError(exc.reason, path=path, hint=exc.hint) from exc
    if isinstance(package, dict):
        return {name: _unwrap(part) for name, part in package.items()}
    return tuple(map(_unwrap, package)) if isinstance(package, tuple) else package


def _find_mark(file: BinaryIO) -> int | None:
    """Return where a class is marked near the beginning of the pickle in ``file``, or None."""
    wrapped = False
    for operation, argument, position in islice(pickletools.genops(file), OPENING):
        wrapped = wrapped or argument == "module"
        if operation.name == "BINPERSID":
            return position if wrapped else None
    return None


def _unwrap(part: Any) -> Any:
    """Return the class in ``part``, where that is the tuple of a class and its source."""
    wrapped = isinstance(part, tuple) and len(part) == 4 and part[0] == "module"
    return part[1] if wrapped else part


def _configure(
    constructor: Constructor, arguments: Mapping[str, Any], version: str
) -> dict[str, Any]:
    """Return our configuration for the published constructor's ``arguments``.

    Raises ``ValueError`` for an argument, or a value of one, that our network cannot honour.
    """
    config = constructor.translate(arguments)
    if constructor is DEMUCS and config["sources"] == len(STEMS):  # v1 knows their number only
        config["sources"] = STEMS
    config["sources"] = [str(source) for source in config["sources"]]
    seconds = config["segment"] if constructor is HTDEMUCS else SECONDS[version]
    config["segment"] = int(seconds * config["sample_rate"])
    if constructor is HDEMUCS:
        # Below 0 is without a filter too; and nothing is filtered behind complex numbers.
        config["wiener_iters"] = 0 if config["cac"] else max(0, config["wiener_iters"])
        config["channels_time"] = config["channels_time"] or 0
        config["multi_freqs"] = list(config["multi_freqs"] or ())
    if constructor is DEMUCS:
        config["skip"] = "add"
        if config["resample"] is None:
            config["resample"] = version == "v2"
    return config


def _without_scale(state: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Return the weights of v2 for a network that takes its input as it is.

    v2 divides its input by 1 + 1e-5, where it would otherwise standardise it; so its first
    convolution does.
    """
    name = "encoder.0.0.weight"
    if name not in state:
        raise CheckpointError(f"not a Demucs of v2: {name} is missing", path=path)
    return {**state, name: state[name] / (1 + EPSILON)}


# --- Tensors alone -------------------------------------------------------------------------------


def read_v2(path: Path) -> Weights:
    """Return the weights in a file that v2 published (``demucs-e07c671f.th``).

    Raises ``CheckpointError`` where it is something else.
    """
    state = read_state(path, "not a dict of weights")
    try:
        channels, audio_channels, _ = state["encoder.0.0.weight"].shape
        depth = _count(state, "encoder")
        outputs = state[f"decoder.{depth - 1}.2.weight"].shape[1]
    except (LookupError, ValueError) as exc:
        raise CheckpointError("not the weights of a Demucs of v2", path=path) from exc
    return Weights(
        architecture=DEMUCS.architecture,
        config={
            "sources": _stems(outputs // audio_channels, path),
            "audio_channels": audio_channels,
            "channels": channels,
            "depth": depth,
            "skip": "add",
            "resample": True,
            "segment": SECONDS["v2"] * 44_100,
        },
        state=_without_scale(state, path),
        origin="Demucs v2 weights",
    )


#: What torchaudio calls the branches, and the one tensor it keeps although nothing reads it.
BRANCHES = {
    "freq_encoder": "encoder",
    "freq_decoder": "decoder",
    "time_encoder": "tencoder",
    "time_decoder": "tdecoder",
}
_UNREAD = re.compile(r"time_encoder\.(\d+)\.norm1\.(weight|bias)")


def read_torchaudio(path: Path) -> Weights:
    """Return the weights in a file of torchaudio's Hybrid Demucs (``hdemucs_high_trained.pt``).

    Raises ``CheckpointError`` where it is something else.
    """
    published = read_state(path, "not a dict of weights")
    try:
        channels, parts, *_ = published["freq_encoder.0.conv.weight"].shape
        depth, depth_time = _count(published, "freq_encoder"), _count(published, "time_encoder")
        outputs = published[f"freq_decoder.{depth - 1}.conv_tr.weight"].shape[1]
        rows = len(published["freq_emb.embedding.weight"])
    except (LookupError, ValueError) as exc:
        raise CheckpointError("not the weights of torchaudio's HDemucs", path=path) from exc
    state = {}
    for name, tensor in published.items():
        unread = _UNREAD.fullmatch(name)
        if not (unread and int(unread[1]) == depth_time - 1):
            branch, _, rest = name.partition(".")
            state[f"{BRANCHES.get(branch, branch)}.{rest}"] = tensor
    return Weights(
        architecture=HDEMUCS.architecture,
        config={
            "sources": _stems(outputs // parts, path),
            "audio_channels": parts // 2,
            "channels": channels,
            "depth": depth,
            "nfft": 8 * rows,  # half of the bins are left out, and three of four rows are merged
            "segment": SECONDS["torchaudio"] * 44_100,
        },
        state=state,
        origin="torchaudio HDemucs weights",
    )


def _count(state: Mapping[str, Tensor], branch: str) -> int:
    """Return how many layers the ``branch`` of a network has."""
    return 1 + max(int(name.split(".")[1]) for name in state if name.startswith(f"{branch}."))


def _stems(count: int, path: Path) -> list[str]:
    """Return the names of ``count`` stems, which these files do not hold."""
    if count != len(STEMS):
        raise CheckpointError(f"gives {count} stems, whose names are unknown", path=path)
    return list(STEMS)
