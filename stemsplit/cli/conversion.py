"""Values of options that need no conversion, so that a short command does not load pydantic.

Typer converts every value with pydantic, defaults included. Its import takes a third of the time of
a command that ends with a typo, and most values already have the type that the option declares.
"""

from __future__ import annotations

from typing import Any, get_args

from typer.core import TyperCommand


class LateCommand(TyperCommand):
    """A command that converts only the values that do not have the declared type yet."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse ``args``; raises the errors of Typer."""
        for parameter in self.get_params(ctx):
            _convert_late(parameter)
        rest: list[str] = super().parse_args(ctx, args)
        return rest


def _convert_late(parameter: Any) -> None:
    # Versions of Typer that convert in another way are left as they are.
    if hasattr(parameter, "get_runtime_param") and hasattr(parameter, "type_descriptor"):
        conversion = _LateConversion(parameter)
        parameter.get_runtime_param = lambda: conversion


class _LateConversion:
    """The conversion of the values of one ``parameter``, with the interface of Typer's."""

    def __init__(self, parameter: Any) -> None:
        self._full = parameter.get_runtime_param  # builds Typer's own conversion
        self._kind = parameter.type_descriptor.annotation
        self._several = parameter.multiple or parameter.nargs == -1

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return ``value`` as the declared type of ``param``. Raises Typer's ``BadParameter``."""
        source = ctx.get_parameter_source(param.name)
        declared = value is None or (source is not None and source.name == "DEFAULT")
        if not declared and not self._fits(value):
            return self._full().coerce(value, param=param, ctx=ctx)
        if self._several:
            return list(value) if value else ()
        return value

    def _fits(self, value: Any) -> bool:
        """Return whether Typer's conversion would not change or refuse ``value``."""
        if self._several:
            texts = isinstance(value, list | tuple) and all(isinstance(each, str) for each in value)
            return texts and self._kind == list[str]
        if self._kind is bool or self._kind is str:
            return isinstance(value, self._kind)
        return isinstance(value, str) and value in get_args(self._kind)
