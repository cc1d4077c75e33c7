"""Keyword arguments of the Python interface, derived from the declared options."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from stemsplit.options import (
    EncodingOptions,
    EngineOptions,
    Excerpt,
    SplitOptions,
    field_of,
    names_of,
)

#: Options that affect the stems of a song, in memory or in a file.
NETWORK_OPTIONS = (
    *("stems", "two_stems", "mixes", "sum_to_mix"),
    *names_of(EngineOptions),
    *("offline", "allow_unverified", "commercial"),
)
#: Further options for files.
FILE_OPTIONS = (
    "filename",
    *names_of(EncodingOptions),
    *("daw", "accept_truncated"),
    *names_of(Excerpt),
)
ALL_OPTIONS = tuple(names_of(SplitOptions))

_Function = TypeVar("_Function", bound=Callable[..., Any])


def takes(*names: str) -> Callable[[_Function], _Function]:
    """Make a function with ``**options`` accept only the options ``names`` of `SplitOptions`.

    Its signature lists them; any other name raises ``TypeError``.
    """

    def decorate(function: _Function) -> _Function:
        signature = inspect.signature(function)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        further = [parameter_of(name) for name in names]

        @wraps(function)
        def checked(*arguments: Any, **values: Any) -> Any:
            for name in values:
                if name not in names and name not in signature.parameters:
                    reason = f"got an unexpected keyword argument {name!r}"
                    raise TypeError(f"{function.__qualname__}() {reason}")
            return function(*arguments, **values)

        checked.__signature__ = signature.replace(parameters=[*own, *further])  # type: ignore[attr-defined]
        return checked  # type: ignore[return-value]

    return decorate


def parameter_of(name: str) -> inspect.Parameter:
    """Return the option ``name`` as the parameter of a function."""
    found = field_of(SplitOptions, name)
    if found is None:
        raise LookupError(f"no option {name!r}")
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=found.default, annotation=found.type
    )
