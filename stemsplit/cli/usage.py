"""Convert usage errors of Typer into `UsageError`, with a hint at the help of the command."""

from __future__ import annotations

import os
import re
from typing import Any

from stemsplit.cli.commands import DEFAULT_COMMAND
from stemsplit.cli.settings import config_path
from stemsplit.errors import ExitCode, StemsplitError, UsageError

#: Typer appends this to the names of an option, even if the variable was not used.
_VARIABLE = re.compile(r" \(env var: '\w+'\)")
#: Words that people try for an option or a command, with the right ones.
_MEANT = {
    "--overwrite": "--force",
    "--karaoke": "--two-stems vocals",
    "--instrumental": "--stems instrumental",
    "--from": "--start",
    "--to": "--end",
    "--gpu": "--device cuda",
    "--cpu": "--device cpu",
    "-V": "--version",
    "remove": "rm",
    "delete": "rm",
    "uninstall": "rm",
    "download": "pull",
    "install": "pull",
    "info": "show",
}
_UNKNOWN = re.compile(r"No such (?:option: |command ')(?P<word>[\w-]+)[^(]*")


def program_of(command: str) -> str:
    """Return the words that run ``command``."""
    return "stemsplit" if command == DEFAULT_COMMAND else f"stemsplit {command}"


def usage_error(exc: Exception, program: str) -> UsageError | None:
    """Return an error of Typer as a `UsageError`; None if ``exc`` is not from Typer.

    If the value is from the configuration file or a variable, the error names it.
    """
    import typer

    if not isinstance(exc, typer.TyperException):
        return None
    error: Any = exc
    # "Value error" is added by the library that checks choices.
    reason = _VARIABLE.sub("", error.format_message().replace("Value error, ", ""))
    context: Any = getattr(error, "ctx", None)
    parameter: Any = getattr(error, "param", None)
    source = context and parameter and context.get_parameter_source(parameter.name)
    if source and source.name == "DEFAULT_MAP":
        return UsageError(reason, path=config_path())
    if source and source.name == "ENVIRONMENT":
        reason = f"{parameter.envvar}: {reason}"
    page = f"{context.command_path if context else program} --help"
    if (
        context
        and (unknown := _UNKNOWN.match(reason))
        and (meant := _meant(unknown["word"], context.command))
    ):
        return UsageError(unknown[0].strip(), hint=f"did you mean {meant}? see {page}")
    if parameter is not None and parameter.param_type_name == "option":
        return UsageError(reason, hint=f"see {parameter.opts[0]} in {page}")
    return UsageError(reason, hint=f"see {page}")


def _meant(word: str, command: Any) -> str | None:
    """Return what to type for ``word`` if ``command`` has it."""
    meant = _MEANT.get(word)
    names = [name for parameter in command.params for name in parameter.opts]
    known = {*names, *getattr(command, "commands", ())}
    return meant if meant is not None and meant.split()[0] in known else None


def naming_path(error: StemsplitError, command: str) -> StemsplitError:
    """Return ``error`` with a hint at the path with the name of ``command``, if it exists.

    The path may have been meant.
    """
    if error.exit_code != ExitCode.USAGE or not os.path.lexists(command):
        return error
    hint = f"to split the path of that name: stemsplit {os.path.join(os.curdir, command)}"
    hints = hint if error.hint is None else f"{error.hint}; {hint}"
    return UsageError(error.reason, path=error.path, hint=hints)
