"""Errors of usage: Typer's as ours, with a hint at the help of the command that was typed."""

from __future__ import annotations

from typing import Any

from stemsplit.cli.commands import DEFAULT_COMMAND
from stemsplit.cli.settings import config_path
from stemsplit.errors import UsageError


def program_of(command: str) -> str:
    """Return what a person types to run ``command``."""
    return "stemsplit" if command == DEFAULT_COMMAND else f"stemsplit {command}"


def usage_error(exc: Exception, program: str) -> UsageError | None:
    """Return an error of Typer's as one of ours; None if ``exc`` is not Typer's.

    Where the value comes from the configuration file, the error names that.
    """
    import typer

    if not isinstance(exc, typer.TyperException):
        return None
    error: Any = exc
    # The words "Value error" are those of the library that checks choices.
    reason = error.format_message().replace("Value error, ", "")
    context, parameter = getattr(error, "ctx", None), getattr(error, "param", None)
    source = context and parameter and context.get_parameter_source(parameter.name)
    if source and source.name == "DEFAULT_MAP":
        return UsageError(reason, path=config_path())
    return UsageError(reason, hint=f"see {program} --help")
