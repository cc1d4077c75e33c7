"""Values of options that need no conversion, so that a short command does not load pydantic.

Typer converts every value with pydantic, defaults included. Its import takes a third of the time of
a command that ends with a typo, and most values already have the type that the option declares.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, get_args

from typer.core import TyperCommand, TyperGroup


class LateCommand(TyperCommand):
    """A command that converts only the values that do not have the declared type yet."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, with their late conversion."""
        return [_convert_late(parameter) for parameter in super().get_params(ctx)]


class LateGroup(TyperGroup):
    """A group of commands that does the same for its own options."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, with their late conversion."""
        return [_convert_late(parameter) for parameter in super().get_params(ctx)]


def _convert_late(parameter: Any) -> Any:
    """Return ``parameter`` of Typer, which converts late from now on."""
    # Versions of Typer that convert in another way are left as they are.
    known = hasattr(parameter, "get_runtime_param") and hasattr(parameter, "type_descriptor")
    if known and "get_runtime_param" not in vars(parameter):
        conversion = _LateConversion(parameter)
        parameter.get_runtime_param = lambda: conversion
    return parameter


class _LateConversion:
    """The conversion of the values of one ``parameter``, with the interface of Typer's."""

    def __init__(self, parameter: Any) -> None:
        self._full = parameter.get_runtime_param  # builds Typer's own conversion
        self._kind = parameter.type_descriptor.annotation
        self._several = parameter.multiple or parameter.nargs == -1
        info = parameter.type_descriptor.parameter_info
        self._has_no_limits = info.min is None and info.max is None
        limits = (info.exists, info.writable, info.resolve_path, info.path_type)
        self._takes_any_path = info.file_okay and info.dir_okay and not any(limits)

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return ``value`` as the declared type of ``param``. Raises Typer's ``BadParameter``."""
        source = ctx.get_parameter_source(param.name)
        declared = value is None or (source is not None and source.name == "DEFAULT")
        if not declared and not self._fits(value):
            return self._full().coerce(value, param=param, ctx=ctx)
        if self._several:
            return list(value) if value else ()
        return Path(value) if self._kind is Path and value is not None else value

    def _fits(self, value: Any) -> bool:
        """Return whether Typer's conversion would not change or refuse ``value``."""
        if self._several:
            texts = isinstance(value, list | tuple) and all(isinstance(each, str) for each in value)
            return texts and self._kind == list[str]
        if self._kind is bool or self._kind is str:
            return isinstance(value, self._kind)
        if self._kind is int and self._has_no_limits:  # how often a switch was given
            return type(value) is int
        if self._kind is Path:
            return self._takes_any_path and isinstance(value, str) and _is_usable(value)
        return isinstance(value, str) and value in get_args(self._kind)


def _is_usable(path: str) -> bool:
    """Return whether Typer would accept ``path``: what exists there must be readable."""
    return "\0" not in path and (not os.path.exists(path) or os.access(path, os.R_OK))
