"""stemsplit: split songs into stems.

``separate``, ``Separator`` and ``split_files`` are the Python interface. They are imported on first
use, to keep ``import stemsplit`` cheap and the start of the command fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from stemsplit.errors import (
    CheckpointError,
    InputError,
    OutputError,
    ResourceError,
    StemsplitError,
    UsageError,
)
from stemsplit.version import __version__

if TYPE_CHECKING:
    from stemsplit.batch.results import Result
    from stemsplit.batch.separator import Separator, separate
    from stemsplit.batch.split_files import split_files
    from stemsplit.checkpoints.registry import list_models

__all__ = [
    "CheckpointError",
    "InputError",
    "OutputError",
    "ResourceError",
    "Result",
    "Separator",
    "StemsplitError",
    "UsageError",
    "__version__",
    "list_models",
    "separate",
    "split_files",
]

#: Names that are expensive to import, and the modules that define them.
_HOMES = {
    "Result": "stemsplit.batch.results",
    "Separator": "stemsplit.batch.separator",
    "list_models": "stemsplit.checkpoints.registry",
    "separate": "stemsplit.batch.separator",
    "split_files": "stemsplit.batch.split_files",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
