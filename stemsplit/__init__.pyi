"""The types of the Python interface. Made by `python -m stemsplit.docgen write`."""

from collections.abc import Callable, Generator, Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from stemsplit.batch.results import Result as Result
from stemsplit.checkpoints.registry import list_models as list_models
from stemsplit.errors import CheckpointError as CheckpointError
from stemsplit.errors import InputError as InputError
from stemsplit.errors import OutputError as OutputError
from stemsplit.errors import ResourceError as ResourceError
from stemsplit.errors import StemsplitError as StemsplitError
from stemsplit.errors import UsageError as UsageError
from stemsplit.types import BatchSize, Clip, Codec, Daw, Depth, Event, Existing, Format, Precision

__version__: str

class Separator:
    model: str
    def __init__(
        self,
        model: str = ...,
        *,
        stems: Sequence[str] | None = ...,
        two_stems: str | None = ...,
        mixes: Sequence[str] = ...,
        sum_to_mix: str | None = ...,
        device: str = ...,
        precision: Precision = ...,
        overlap: float | None = ...,
        segment: float | None = ...,
        shifts: int = ...,
        seed: int = ...,
        batch: BatchSize = ...,
        threads: int | None = ...,
        offline: bool = ...,
        allow_unverified: bool = ...,
        commercial: bool = ...,
    ) -> None: ...
    @property
    def stems(self) -> tuple[str, ...]: ...
    @property
    def sample_rate(self) -> int: ...
    @overload
    def separate(self, mix: Tensor, sample_rate: int | None = ...) -> dict[str, Tensor]: ...
    @overload
    def separate(
        self, mix: NDArray[np.floating], sample_rate: int | None = ...
    ) -> dict[str, NDArray[np.float32]]: ...
    def separate_file(
        self,
        song: str | PathLike[str],
        out: str | PathLike[str] = ...,
        *,
        force: bool = ...,
        filename: str = ...,
        format: Format = ...,
        codec: Codec | None = ...,
        depth: Depth | None = ...,
        bitrate: int | None = ...,
        quality: int | None = ...,
        dither: bool = ...,
        clip: Clip | None = ...,
        tags: bool = ...,
        daw: Sequence[Daw] = ...,
        accept_truncated: bool = ...,
        start: float | None = ...,
        end: float | None = ...,
        duration: float | None = ...,
        preview: float | None = ...,
    ) -> dict[str, Path]: ...

@overload
def separate(
    song: Tensor,
    model: str = ...,
    *,
    sample_rate: int | None = ...,
    stems: Sequence[str] | None = ...,
    two_stems: str | None = ...,
    mixes: Sequence[str] = ...,
    sum_to_mix: str | None = ...,
    device: str = ...,
    precision: Precision = ...,
    overlap: float | None = ...,
    segment: float | None = ...,
    shifts: int = ...,
    seed: int = ...,
    batch: BatchSize = ...,
    threads: int | None = ...,
    offline: bool = ...,
    allow_unverified: bool = ...,
    commercial: bool = ...,
) -> dict[str, Tensor]: ...
@overload
def separate(
    song: NDArray[np.floating],
    model: str = ...,
    *,
    sample_rate: int | None = ...,
    stems: Sequence[str] | None = ...,
    two_stems: str | None = ...,
    mixes: Sequence[str] = ...,
    sum_to_mix: str | None = ...,
    device: str = ...,
    precision: Precision = ...,
    overlap: float | None = ...,
    segment: float | None = ...,
    shifts: int = ...,
    seed: int = ...,
    batch: BatchSize = ...,
    threads: int | None = ...,
    offline: bool = ...,
    allow_unverified: bool = ...,
    commercial: bool = ...,
) -> dict[str, NDArray[np.float32]]: ...
@overload
def separate(
    song: str | PathLike[str],
    model: str = ...,
    *,
    out: str | PathLike[str] | None = ...,
    force: bool = ...,
    stems: Sequence[str] | None = ...,
    two_stems: str | None = ...,
    mixes: Sequence[str] = ...,
    sum_to_mix: str | None = ...,
    device: str = ...,
    precision: Precision = ...,
    overlap: float | None = ...,
    segment: float | None = ...,
    shifts: int = ...,
    seed: int = ...,
    batch: BatchSize = ...,
    threads: int | None = ...,
    offline: bool = ...,
    allow_unverified: bool = ...,
    commercial: bool = ...,
    filename: str = ...,
    format: Format = ...,
    codec: Codec | None = ...,
    depth: Depth | None = ...,
    bitrate: int | None = ...,
    quality: int | None = ...,
    dither: bool = ...,
    clip: Clip | None = ...,
    tags: bool = ...,
    daw: Sequence[Daw] = ...,
    accept_truncated: bool = ...,
    start: float | None = ...,
    end: float | None = ...,
    duration: float | None = ...,
    preview: float | None = ...,
) -> dict[str, Path]: ...
def split_files(
    inputs: str | PathLike[str] | Iterable[str | PathLike[str]],
    *,
    on_event: Callable[[Event], object] | None = ...,
    dry_run: bool = ...,
    out: str | PathLike[str] = ...,
    filename: str = ...,
    model: str = ...,
    stems: Sequence[str] | None = ...,
    two_stems: str | None = ...,
    mixes: Sequence[str] = ...,
    sum_to_mix: str | None = ...,
    format: Format = ...,
    codec: Codec | None = ...,
    depth: Depth | None = ...,
    bitrate: int | None = ...,
    quality: int | None = ...,
    dither: bool = ...,
    clip: Clip | None = ...,
    tags: bool = ...,
    daw: Sequence[Daw] = ...,
    existing: Existing = ...,
    fail_fast: bool = ...,
    jobs: int = ...,
    accept_truncated: bool = ...,
    start: float | None = ...,
    end: float | None = ...,
    duration: float | None = ...,
    preview: float | None = ...,
    device: str = ...,
    precision: Precision = ...,
    overlap: float | None = ...,
    segment: float | None = ...,
    shifts: int = ...,
    seed: int = ...,
    batch: BatchSize = ...,
    threads: int | None = ...,
    offline: bool = ...,
    allow_unverified: bool = ...,
    commercial: bool = ...,
) -> Generator[Result]: ...
