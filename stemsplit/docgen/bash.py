"""The completion script for bash, from 3.2 (that of macOS) on; it needs no other package.

Static, like the other two: the names of models and stems stand in it, and no TAB starts Python.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from stemsplit.docgen.tree import CommandEntry, Value, walk

# Where the function gives nothing, `-o default` lets readline complete a file name: it knows about
# quotes, spaces and ~, which compgen does not. bash 3.2 has no compopt and so offers files there
# where nothing else fits.
_SCRIPT = """\
# bash completion for stemsplit.
# Made by `python -m stemsplit.docgen write`; changes belong there.

_stemsplit() {{
    local IFS=$' \\t\\n'
    local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}}
    # "=" is a word of its own.
    if [[ $current == "=" ]]; then
        current=
    elif [[ $previous == "=" ]]; then
        previous=${{COMP_WORDS[COMP_CWORD-2]}}
    fi
    COMPREPLY=()
    compopt +o default 2>/dev/null

    local command= depth=1
    while ((depth < COMP_CWORD)); do
        case "$command ${{COMP_WORDS[depth]}}" in
            {paths}) ;;
            *) break ;;
        esac
        command="${{command:+$command }}${{COMP_WORDS[depth]}}"
        ((depth++))
    done

    local word only_arguments=
    for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        [[ $word == -- ]] && only_arguments=yes
    done
    if [[ -z $only_arguments ]]; then
        case "${{command:-{default}}} $previous" in
{values}
        esac
        if [[ $current == -* ]]; then
            case "${{command:-{default}}}" in
{options}
            esac
            return
        fi
    fi

    if ((depth == COMP_CWORD)); then
        case "$command" in
{commands}
        esac
    fi
    # What starts like a command may be a file as well.
    if [[ -z $command && ${{#COMPREPLY[@]}} -gt 0 ]]; then
        compopt -o filenames 2>/dev/null
        while IFS= read -r word; do
            COMPREPLY+=("$word")
        done < <(compgen -f -- "$current")
        return
    fi
    case "${{command:-{default}}}" in
{arguments}
    esac
}}

_stemsplit_words() {{
    COMPREPLY=($(compgen -W "$1" -- "$current"))
}}

_stemsplit_list() {{
    local before=
    [[ $current == *,* ]] && before=${{current%,*}},
    compopt -o nospace 2>/dev/null
    COMPREPLY=($(compgen -P "$before" -W "$1" -- "${{current##*,}}"))
}}

_stemsplit_files() {{
    compopt -o default 2>/dev/null
}}

_stemsplit_words_or_files() {{
    _stemsplit_words "$1"
    [[ ${{#COMPREPLY[@]}} -gt 0 ]] || _stemsplit_files
}}

_stemsplit_folders() {{
    compopt -o dirnames 2>/dev/null
}}

complete -o default -F _stemsplit stemsplit
"""


def render_bash(commands: Sequence[CommandEntry]) -> str:
    """Return the script for ``commands``."""
    everything = walk(commands)
    groups = [("", commands), *((each.path, each.commands) for each in everything if each.commands)]
    return _SCRIPT.format(
        default=next(each.path for each in commands if each.is_default),
        # Before the first word of a command stands nothing, and then a space.
        paths="|".join(
            _quote(each.path if len(each.words) > 1 else f" {each.path}") for each in everything
        ),
        values=_cases(
            (
                (f"{each.path} {name}", f"{_action(option.value)}; return")
                for each in everything
                for option in each.options
                for name in option.names
                if option.value is not None
            ),
            depth=3,
        ),
        options=_cases(((each.path, _words(_option_names(each))) for each in everything), depth=4),
        commands=_cases(
            ((path, _words(each.name for each in group)) for path, group in groups), depth=3
        ),
        arguments=_cases(
            (
                (each.path, _action(each.arguments[-1].value))
                for each in everything
                if each.arguments
            ),
            depth=2,
        ),
    )


def _cases(actions: Iterable[tuple[str, str]], *, depth: int) -> str:
    """Return the body of a ``case``: for each word what to do, the same things together."""
    patterns: dict[str, list[str]] = {}
    for word, action in actions:
        patterns.setdefault(action, []).append(_quote(word))
    indent = "    " * depth
    return "\n".join(f"{indent}{'|'.join(each)}) {action} ;;" for action, each in patterns.items())


def _action(value: Value) -> str:
    match value.kind:
        case "file":
            return "_stemsplit_files"
        case "folder":
            return "_stemsplit_folders"
        case "free":
            return ":"
        case "names" | "stems" | "daws":
            return _words(value.words, "_stemsplit_list")
        case "model":
            return _words(value.words, "_stemsplit_words_or_files")
    return _words(value.words)


def _words(words: Iterable[str], function: str = "_stemsplit_words") -> str:
    return f"{function} {_quote(' '.join(words))}"


def _option_names(command: CommandEntry) -> list[str]:
    return [name for option in command.options for name in option.names]


def _quote(text: str) -> str:
    return f'"{text}"'
