"""stemsplit: split a song into its stems.

``separate`` and ``Separator`` are the Python interface; they are imported when first used, so that
``import stemsplit`` costs nothing and the command line answers at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stemsplit.errors import (
    CheckpointError,
    InputError,
    OutputError,
    ResourceError,
    StemsplitError,
    UsageError,
)

if TYPE_CHECKING:
    from stemsplit.batch.separator import Separator, separate
    from stemsplit.checkpoints.registry import list_models

__version__ = "0.1.0"

__all__ = [
    "CheckpointError",
    "InputError",
    "OutputError",
    "ResourceError",
    "Separator",
    "StemsplitError",
    "UsageError",
    "__version__",
    "list_models",
    "separate",
]


def __getattr__(name: str) -> Any:
    if name in ("Separator", "separate"):
        from stemsplit.batch import separator

        return getattr(separator, name)
    if name == "list_models":
        from stemsplit.checkpoints.registry import list_models

        return list_models
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
