"""The types of the Python interface, ``__init__.pyi``.

Its options are declared once, for the command as well, which type checkers and editors cannot see:
they do not run code.
"""

from __future__ import annotations

from collections.abc import Iterable

from stemsplit.batch.signatures import ALL_OPTIONS, FILE_OPTIONS, NETWORK_OPTIONS
from stemsplit.options import SplitOptions, field_of

#: What callers may give where an option has this type.
_WIDER = {
    "tuple[str, ...]": "Sequence[str]",
    "tuple[Daw, ...]": "Sequence[Daw]",
    "Path": "str | PathLike[str]",
}
#: Types that the signatures name.
_NAMES = ("BatchSize", "Clip", "Codec", "Daw", "Depth", "Event", "Existing", "Format", "Precision")
_STUB = '''\
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
from stemsplit.types import {names}

__version__: str

class Separator:
    model: str
    def __init__(
        self,
        model: str = ...,
        *,
{network}
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
{file}
    ) -> dict[str, Path]: ...

@overload
def separate(
    song: Tensor,
    model: str = ...,
    *,
    sample_rate: int | None = ...,
{network_of_function}
) -> dict[str, Tensor]: ...
@overload
def separate(
    song: NDArray[np.floating],
    model: str = ...,
    *,
    sample_rate: int | None = ...,
{network_of_function}
) -> dict[str, NDArray[np.float32]]: ...
@overload
def separate(
    song: str | PathLike[str],
    model: str = ...,
    *,
    out: str | PathLike[str] | None = ...,
    force: bool = ...,
{network_of_function}
{file_of_function}
) -> dict[str, Path]: ...
def split_files(
    inputs: str | PathLike[str] | Iterable[str | PathLike[str]],
    *,
    on_event: Callable[[Event], object] | None = ...,
    dry_run: bool = ...,
{all}
) -> Generator[Result]: ...
'''


def render_stub() -> str:
    """Return the content of ``stemsplit/__init__.pyi``."""
    return _STUB.format(
        names=", ".join(_NAMES),
        network=_lines(NETWORK_OPTIONS, 8),
        file=_lines(FILE_OPTIONS, 8),
        network_of_function=_lines(NETWORK_OPTIONS, 4),
        file_of_function=_lines(FILE_OPTIONS, 4),
        all=_lines(ALL_OPTIONS, 4),
    )


def _lines(names: Iterable[str], indent: int) -> str:
    return "\n".join(f"{' ' * indent}{name}: {_type_of(name)} = ...," for name in names)


def _type_of(name: str) -> str:
    """Return the type that callers may give for the option ``name``."""
    found = field_of(SplitOptions, name)
    assert found is not None
    parts = str(found.type).split(" | ")
    return " | ".join(_WIDER.get(part, part) for part in parts)
