"""The completion script for zsh."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stemsplit.checkpoints.registry import list_models
from stemsplit.docgen.tree import (
    ArgumentEntry,
    CommandEntry,
    OptionEntry,
    Value,
    known_words,
    walk,
)

# Autoloaded, the file is the body of the function at its first call: hence the last line.
_SCRIPT = """\
#compdef stemsplit
# Made by `python -m stemsplit.docgen write`; changes belong there.

{functions}

_stemsplit__name() {{
    local -a models=(
        {names}
    )
    _describe -t models model models "$@"
}}

_stemsplit__names() {{
    _sequence _stemsplit__name
}}

_stemsplit__model() {{
    _alternative 'names:model:_stemsplit__name' 'files:checkpoint:_files'
}}

_stemsplit__stem() {{
    compadd "$@" -- {stems}
}}

_stemsplit__stems() {{
    _sequence _stemsplit__stem
}}

_stemsplit__daw() {{
    compadd "$@" -- {daws}
}}

_stemsplit__daws() {{
    _sequence _stemsplit__daw
}}

_stemsplit "$@"
"""

_GROUP = """\
{function}() {{
    local curcontext=$curcontext
    local -i failed=1
    local -a commands=(
        {commands}
    )
    if (( CURRENT > 2 )) && [[ $words[2] == ({names}) ]]; then
        shift words
        (( CURRENT-- ))
        curcontext="${{curcontext%:*}}-$words[1]:"
        {function}_$words[1]
        return
    fi
    if (( CURRENT == 2 )) && [[ $PREFIX != -* ]]; then
        _describe -t commands command commands && failed=0
    fi
    {otherwise} && failed=0
    return failed
}}
"""

_COMMAND = """\
{function}() {{
    {arguments}
}}
"""


def render_zsh(commands: Sequence[CommandEntry]) -> str:
    """Return the script for ``commands``."""
    default = next(each for each in commands if each.is_default)
    functions = [_group("_stemsplit", commands, otherwise=_function(default))]
    for command in walk(commands):
        function, arguments = _function(command), _arguments(command)
        functions.append(
            _group(function, command.commands, otherwise=arguments)
            if command.commands
            else _COMMAND.format(function=function, arguments=arguments)
        )
    return _SCRIPT.format(
        functions="\n".join(functions).rstrip(),
        names="\n        ".join(
            _quote(f"{model.name}:{model.description}") for model in list_models()
        ),
        daws=" ".join(known_words("daws")),
        stems=" ".join(known_words("stem")),
    )


def _function(command: CommandEntry) -> str:
    return "_".join(("_stemsplit", *command.words))


def _group(function: str, commands: Sequence[CommandEntry], *, otherwise: str) -> str:
    """Return a function that looks for one of ``commands``, and else does ``otherwise``."""
    described = (_quote(f"{each.name}:{each.summary}") for each in commands)
    return _GROUP.format(
        function=function,
        commands="\n        ".join(described),
        names="|".join(each.name for each in commands),
        otherwise=otherwise,
    )


def _arguments(command: CommandEntry) -> str:
    """Return the call of zsh's ``_arguments`` that knows the options and arguments."""
    specifications = [
        *(each for option in command.options for each in _option(option)),
        *(_argument(argument) for argument in command.arguments),
    ]
    return " \\\n        ".join(("_arguments -s -S", *specifications))


def _option(option: OptionEntry) -> Iterator[str]:
    """Yield a specification for each name; but for counted options one name excludes the others."""
    text = option.summary.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]")
    value = "" if option.value is None else _value(option.value)
    before = "*" if option.repeats else f"({' '.join(option.names)})"
    for name in option.names:
        # The value may follow in the same word: --out=FOLDER, -oFOLDER.
        joint = "" if option.value is None else "=" if name.startswith("--") else "+"
        yield _quote(f"{before}{name}{joint}[{text}]{value}")


def _argument(argument: ArgumentEntry) -> str:
    before = "*" if argument.many else "" if argument.required else ":"
    return _quote(before + _value(argument.value))


def _value(value: Value) -> str:
    action = {
        "file": "_files",
        "folder": "_files -/",
        "free": " ",
        "choice": f"({' '.join(value.words)})",
        "device": f"({' '.join(value.words)})",
    }.get(value.kind, f"_stemsplit__{value.kind}")
    return f":{value.metavar.partition(',')[0].lower()}:{action}"


def _quote(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
