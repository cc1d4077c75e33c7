"""Keyword arguments of the Python interface, taken from the options that are declared once."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from stemsplit.options import SplitOptions, field_of, names_of

_Function = TypeVar("_Function", bound=Callable[..., Any])


def takes(*options: str | type[Any]) -> Callable[[_Function], _Function]:
    """Let a function with ``**options`` take these: names of `SplitOptions`, or whole dataclasses.

    Its signature shows them; any other name raises ``TypeError``, as Python does.
    """
    names = [
        name for each in options for name in ([each] if isinstance(each, str) else names_of(each))
    ]

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


def keywords(function: Callable[..., Any]) -> list[str]:
    """Return the names of the keyword-only arguments of ``function``."""
    parameters = inspect.signature(function).parameters.values()
    return [each.name for each in parameters if each.kind is each.KEYWORD_ONLY]
