"""One module per network. An architecture is named ``module:Class``, and imported when needed."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stemsplit.models.base import SeparationModel


def architecture(name: str) -> type[SeparationModel]:
    """Return the class called ``name``: ``module:Class``, as in the registry and in checkpoints.

    Raises ``LookupError`` for an unknown name.
    """
    module_name, _, class_name = name.partition(":")
    if not module_name.isidentifier() or not class_name.isidentifier():
        raise LookupError(f"unknown architecture {name!r}")
    try:
        module = importlib.import_module(f"stemsplit.models.{module_name}")
    except ModuleNotFoundError as exc:
        raise LookupError(f"unknown architecture {name!r}") from exc
    from stemsplit.models.base import SeparationModel

    found = getattr(module, class_name, None)
    if not (isinstance(found, type) and issubclass(found, SeparationModel)):
        raise LookupError(f"unknown architecture {name!r}")
    return found


def build(name: str, config: Mapping[str, Any]) -> SeparationModel:
    """Return a new network of architecture ``name`` with fresh weights.

    ``config`` contains fields of the architecture's configuration dataclass; the others have their
    published values. Raises ``LookupError`` for an unknown architecture and ``TypeError`` for a
    field that the architecture does not have.
    """
    return architecture(name).from_config(config)
