"""The completion script for fish."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stemsplit.checkpoints.registry import list_models
from stemsplit.docgen.tree import LISTS, CommandEntry, OptionEntry, Value, known_words, walk

_FUNCTIONS = """\
# fish completion for stemsplit.
# Made by `python -m stemsplit.docgen write`; changes belong there.

function __stemsplit_command --description 'Print the words of the command, if there is one'
    set -l command
    for word in (commandline -opc)[2..-1]
        switch "$command $word"
            case {paths}
                set command (string trim -- "$command $word")
            case '*'
                break
        end
    end
    echo "$command"
end

function __stemsplit_in --description 'Whether the command is one of these'
    contains -- (__stemsplit_command) $argv
end

function __stemsplit_right_after --description 'Whether only these words stand before the cursor'
    set -l words (commandline -opc)[2..-1]
    test "$words" = "$argv"
end

function __stemsplit_names --description 'Print the names of the models, and what each is'
    printf '%s\\t%s\\n' {names}
end

function __stemsplit_stems --description 'Print the names of all stems'
    printf '%s\\n' {stems}
end

function __stemsplit_daws --description 'Print the names of the programs for projects'
    printf '%s\\n' {daws}
end

complete -c stemsplit -f
"""


def render_fish(commands: Sequence[CommandEntry]) -> str:
    """Return the script for ``commands``."""
    everything = walk(commands)
    # Before the first word of a command stands nothing, and then a space.
    paths = (each.path if len(each.words) > 1 else f" {each.path}" for each in everything)
    functions = _FUNCTIONS.format(
        paths=" ".join(_quote(path) for path in paths),
        names=" \\\n        ".join(
            f"{model.name} {_quote(model.description)}" for model in list_models()
        ),
        stems=" ".join(known_words("stem")),
        daws=" ".join(known_words("daws")),
    )
    lines = [functions]
    for each in everything:
        condition = f"__stemsplit_right_after {' '.join(each.words[:-1])}".rstrip()
        lines.append(_complete(condition, f"-a {each.name}", _description(each.summary)))
    for each in everything:
        lines += _command(each)
    return "\n".join(lines) + "\n"


def _command(command: CommandEntry) -> Iterator[str]:
    """Yield what completes the options and arguments of ``command``."""
    names = f'"" "{command.path}"' if command.is_default else f'"{command.path}"'
    condition = f"__stemsplit_in {names}"
    for option in command.options:
        yield _complete(condition, *_option(option))
    for argument in command.arguments:
        if source := _source(argument.value):
            yield _complete(condition, source)


def _option(option: OptionEntry) -> Iterator[str]:
    for name in option.names:
        yield f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}"
    if option.value is not None:
        yield f"-r {_source(option.value)}".rstrip()
    yield _description(option.summary)


def _source(value: Value) -> str:
    """Return where the words come from: files (-F) if anything, -f being the rule of the script."""
    words = _quote(" ".join(value.words))
    return {
        "name": "-f -a '(__stemsplit_names)'",
        "model": "-F -a '(__stemsplit_names)'",
        "stem": "-f -a '(__stemsplit_stems)'",
        **{kind: f"-f -a '(__fish_complete_list , __stemsplit_{kind})'" for kind in LISTS},
        "file": "-F",
        "folder": "-f -a '(__fish_complete_directories)'",
        "free": "-f",
    }.get(value.kind, f"-f -a {words}")


def _complete(condition: str, *parts: str) -> str:
    return " ".join(("complete -c stemsplit -n", _quote(condition), *parts))


def _description(text: str) -> str:
    return f"-d {_quote(text)}"


def _quote(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
