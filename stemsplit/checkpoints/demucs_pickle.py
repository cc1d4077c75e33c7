"""The official Demucs files (``955717e8-8726e21a.th``): pickles of a class and its weights.

From v2 on, such a file is a dict of ``klass`` (the class object), ``args`` and ``kwargs`` (of its
constructor), ``state`` (tensors, in half precision from v3 on), and ``training_args`` and
``metrics``, which are not read here. In v1 it is a tuple of the first four. The weights of v2 and
of torchaudio's Hybrid Demucs were published as bare tensors: see ``demucs_tensors.py``.
"""

from __future__ import annotations

import io
import pickletools
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
    Constructor,
)
from stemsplit.checkpoints.demucs_tensors import without_scale
from stemsplit.checkpoints.pickles import OLD_PICKLE, as_float32, read_pickle
from stemsplit.checkpoints.settings import Settings, check_stems
from stemsplit.checkpoints.weights import Weights
from stemsplit.errors import CheckpointError
from stemsplit.models.demucs import DemucsConfig


class PublishedHTDemucs:
    """Placeholder for the class object of HTDemucs in the file."""


class PublishedHDemucs:
    """Placeholder for the class object of Hybrid Demucs."""


class PublishedDemucsV3:
    """Placeholder for the class object of v3's waveform network."""


class PublishedDemucs:
    """Placeholder for the class object of the network of v1 and v2."""


class Unread:
    """Placeholder for numbers in the metrics, which are not read; ignores its arguments."""

    def __init__(self, *arguments: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


#: All names that the official files refer to besides tensors and containers.
ALLOWED: dict[str, Any] = {
    "demucs.htdemucs.HTDemucs": PublishedHTDemucs,
    "demucs.hdemucs.HDemucs": PublishedHDemucs,
    "demucs.wdemucs.WDemucs": PublishedHDemucs,  # its original name
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
#: The class appears within this many opcodes at the start of a pickle.
OPENING = 50
#: The segment length v1 was run with, in seconds; its files do not contain it.
V1_SECONDS = 10
#: Settings that v1 files lack: they hold only the number of stems, and no sample rate.
OPEN_V1 = ("sources", "sample_rate")


def read(path: Path, settings: Settings) -> Weights:
    """Return the weights in an official file; for a v1 file, ``settings`` hold `OPEN_V1`.

    Raises ``CheckpointError`` for a pickle that names more than :data:`ALLOWED`, for quantised
    weights, for an argument that our network does not support (naming it), and for an unknown
    setting.
    """
    with path.open("rb") as file:
        old = file.read(len(OLD_PICKLE)) == OLD_PICKLE
    package = _read_old(path) if old else read_pickle(path, ALLOWED)
    return read_package(package, path, settings)


def read_package(package: Any, path: Path, settings: Settings) -> Weights:
    """Return the weights in ``package``, the content of ``path``: class, arguments and tensors.

    Raises ``CheckpointError`` as `read` does.
    """
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
        raise CheckpointError("not a Demucs checkpoint", path=path)
    constructor = CONSTRUCTORS[package["klass"]]
    state = package["state"]
    if not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise quantised(path)
    state = as_float32(state, path)
    version = constructor.version
    if constructor is DEMUCS:
        version = "v1" if first else "v2"
    try:
        config = _configure(constructor, package["kwargs"], version)
    except (ArithmeticError, LookupError, TypeError, ValueError) as exc:
        reason = f"made for an unsupported network: {exc}"
        raise CheckpointError(reason, path=path) from exc
    if version == "v1":
        config |= _configure_v1(config.pop("sources"), path, settings)
    return Weights(
        architecture=constructor.architecture,
        config=config,
        state=without_scale(state, path) if version == "v2" else state,
        origin=f"Demucs {version} checkpoint",
    )


def quantised(path: Path) -> CheckpointError:
    """Return the error for weights that need another package to be read."""
    reason = "its weights are quantised by the package diffq, which is not supported"
    return CheckpointError(reason, path=path)


def _read_old(path: Path) -> Any:
    """Return the content of a file from before torch 1.6, as :func:`read_pickle` does.

    Such a file wraps a class in a tuple with its source code, and marks that tuple as a persistent
    ID, which torch's safe reader refuses. So read a copy without the mark, which is one byte
    shorter; it yields the tuple in place of the class.
    """
    with path.open("rb") as file:
        try:
            for _ in range(3):  # a magic number, a version, and facts about the machine
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
    """Return the position of the mark of a class near the start of the pickle, or None."""
    wrapped = False
    for operation, argument, position in islice(pickletools.genops(file), OPENING):
        wrapped = wrapped or argument == "module"
        if operation.name == "BINPERSID":
            return position if wrapped else None
    return None


def _unwrap(part: Any) -> Any:
    """Return the class if ``part`` is a tuple of a class and its source, else ``part``."""
    wrapped = isinstance(part, tuple) and len(part) == 4 and part[0] == "module"
    return part[1] if wrapped else part


def _configure(
    constructor: Constructor, arguments: Mapping[str, Any], version: str
) -> dict[str, Any]:
    """Return our configuration for the published constructor's ``arguments``.

    Raises ``ValueError`` for an argument or a value that our network does not support.
    """
    config = constructor.translate(arguments)
    if version != "v1":
        config["sources"] = [str(source) for source in config["sources"]]
    if constructor is DEMUCS:
        config["skip"] = "add"
        if config["resample"] is None:
            config["resample"] = version == "v2"
        return config
    config["segment"] = int(config["segment"] * config["sample_rate"])
    if constructor is HDEMUCS:
        # A negative number also means no filter, and complex-as-channels output is not filtered.
        config["wiener_iters"] = 0 if config["cac"] else max(0, config["wiener_iters"])
        config["channels_time"] = config["channels_time"] or 0
        config["multi_freqs"] = list(config["multi_freqs"] or ())
    return config


def _configure_v1(count: int, path: Path, settings: Settings) -> dict[str, Any]:
    """Return the settings that a v1 file with ``count`` stems lacks."""
    known = settings.require(path, DEMUCS.architecture, OPEN_V1)
    check_stems(known.get("sources"), count, path)
    sample_rate = known.setdefault("sample_rate", DemucsConfig().sample_rate)
    return known | {"segment": V1_SECONDS * sample_rate}
