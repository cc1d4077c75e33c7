"""Convert usage errors of Typer into `UsageError`, with a hint at the help of the command."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from stemsplit.cli.commands import DEFAULT_COMMAND
from stemsplit.cli.foreign_options import EXPECTED, MODELS_WORDS
from stemsplit.cli.settings import config_path
from stemsplit.errors import ExitCode, StemsplitError, UsageError
from stemsplit.stem_names import SYNONYMS

#: Typer appends this to the names of an option, even if the variable was not used.
_VARIABLE = re.compile(r" \(env var: '\w+'\)")
#: Typer appends this to an unknown option; it compares the dashes too, and finds ``--out`` in
#: ``--gpu``.
_POSSIBLE = re.compile(r" \(Possible options: .*\)")
#: What Typer writes about a word that is not a command, or that follows one without arguments.
_EXTRA = re.compile(r"(?:No such command '|Got unexpected extra argument(?:\(s\)|s)? \()([^\s')]+)")
#: How the library that checks values describes them, and how stemsplit does.
_VALUES = {
    r"Value error, ": "",
    r"Input should be a valid integer, .*": "must be a whole number",
    r"Input should be a valid number, .*": "must be a number",
    r"Input should be greater than or equal to (\S+)": r"must be at least \1",
    r"Input should be less than or equal to (\S+)": r"must be at most \1",
}
#: The commands that `EXPECTED` is for.
_SPLITTING = ("stemsplit", "stemsplit watch")
#: How similar a word must be to an option that was perhaps meant.
_SIMILAR = 0.7


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
    reason = _POSSIBLE.sub("", _VARIABLE.sub("", error.format_message()))
    for theirs, ours in _VALUES.items():
        reason = re.sub(theirs, ours, reason)
    context: Any = getattr(error, "ctx", None)
    parameter: Any = getattr(error, "param", None)
    source = context and parameter and context.get_parameter_source(parameter.name)
    if source and source.name == "DEFAULT_MAP":
        return UsageError(reason, path=config_path())
    if source and source.name == "ENVIRONMENT":
        reason = f"{parameter.envvar}: {reason}"
    page = f"{context.command_path if context else program} --help"
    if parameter is not None and parameter.param_type_name == "option":
        return UsageError(reason, hint=f"see {parameter.opts[0]} in {page}")
    return UsageError(reason, hint=_expected(error, context, program) or f"see {page}")


def _expected(error: Any, context: Any, program: str) -> str:
    """Return a hint at what was meant by an unknown option or command; "" if it is not clear."""
    if isinstance(option := getattr(error, "option_name", None), str):
        word, known = option.lstrip("-").lower().replace("_", "-"), _long_options(context)
        if (hint := EXPECTED.get(word)) and (program in _SPLITTING or hint.split()[0] in known):
            return hint
        names = " or ".join(_similar(word, known))
        return f"did you mean {names}? see {context.command_path} --help" if names else ""
    found = _EXTRA.match(error.format_message())
    if found and program == "stemsplit models":
        return MODELS_WORDS.get(found[1]) or _filter_for(found[1], context.command_path)
    return ""


def _filter_for(word: str, command: str) -> str:
    """Return the option of ``models list`` that ``word`` is for, if that is the ``command``."""
    if command != "stemsplit models list":
        return ""
    # Imported here: only this error needs the registry.
    from stemsplit.checkpoints.choosing import known_architecture, known_stem

    with contextlib.suppress(UsageError):
        return f"{command} --stem {known_stem(SYNONYMS.get(word.lower(), word))}"
    with contextlib.suppress(UsageError):
        return f"{command} --architecture {known_architecture(word)}"
    return f"{command} --licence {word}" if _is_licence(word) else ""


def _is_licence(word: str) -> bool:
    from stemsplit.checkpoints.choosing import Wish
    from stemsplit.checkpoints.registry import list_models

    return any(Wish(licence=word, hidden=True).grants(model) for model in list_models())


def _long_options(context: Any) -> list[str]:
    """Return the long options of the command in ``context``, if there is one."""
    parameters: list[Any] = context.command.get_params(context) if context is not None else []
    return [
        name
        for parameter in parameters
        if not getattr(parameter, "hidden", False)
        for name in parameter.opts
        if name.startswith("--")
    ]


def _similar(word: str, known: Sequence[str]) -> list[str]:
    """Return the options in ``known`` that ``word`` resembles, dashes aside."""
    names = {name.lstrip("-"): name for name in known}
    near = get_close_matches(word, names, n=2, cutoff=_SIMILAR)
    begun = [name for name in names if len(name) > 2 and word.startswith(name)]
    return [names[name] for name in dict.fromkeys((*near, *begun))]


def naming_path(error: StemsplitError, command: str) -> StemsplitError:
    """Return ``error`` with a hint at the path with the name of ``command``, if it exists.

    The path may have been meant.
    """
    if error.exit_code != ExitCode.USAGE or not os.path.lexists(command):
        return error
    hint = f"to split the path of that name: stemsplit {os.path.join(os.curdir, command)}"
    hints = hint if error.hint is None else f"{error.hint}; {hint}"
    return UsageError(error.reason, path=error.path, hint=hints)
