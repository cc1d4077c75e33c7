"""The completion script for bash, from 3.2 (that of macOS) on; it needs no other package.

Static, like the other two: the names of models and stems stand in it, and no TAB starts Python.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from stemsplit.cli.docgen_tree import CommandEntry, Value, walk

# Where the function gives nothing, `-o default` lets readline complete a file name: it knows about
# quotes, spaces and ~, which compgen does not. bash 3.2 has no compopt and so offers files there
# where nothing else fits.
_SCRIPT = """\
# bash completion for stemsplit. Made by `python -m stemsplit.cli.docgen write`; changes belong there.

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
    options = {
        _quote(each.path): f"_stemsplit_words {_quote(_option_names(each))}" for each in everything
    }
    below = {each.path: each.commands for each in everything if each.commands}
    following = {
        _quote(path): f"_stemsplit_words {_quote(' '.join(each.name for each in group))}"
        for path, group in {"": commands, **below}.items()
    }
    arguments = {
        _quote(each.path): _action(each.arguments[-1].value)
        for each in everything
        if each.arguments
    }
    return _SCRIPT.format(
        default=next(each.path for each in commands if each.is_default),
        # Before the first word of a command stands nothing, and then a space.
        paths="|".join(
            _quote(each.path if len(each.words) > 1 else f" {each.path}") for each in everything
        ),
        values=_cases(_values(everything), depth=3),
        options=_cases(options, depth=4),
        commands=_cases(following, depth=3),
        arguments=_cases(arguments, depth=2),
    )


def _cases(actions: dict[str, str], *, depth: int) -> str:
    indent = "    " * depth
    return "\n".join(f"{indent}{pattern}) {action} ;;" for pattern, action in actions.items())


def _values(commands: Iterable[CommandEntry]) -> dict[str, str]:
    """Return what completes the values of options, by the pattern of their names."""
    names: dict[str, list[str]] = {}
    for command in commands:
        for option in command.options:
            if option.value is not None:
                patterns = [_quote(f"{command.path} {name}") for name in option.names]
                names.setdefault(_action(option.value), []).extend(patterns)
    return {"|".join(patterns): f"{action}; return" for action, patterns in names.items()}


def _action(value: Value) -> str:
    words = _quote(" ".join(value.words))
    return {
        "stems": f"_stemsplit_list {words}",
        "model": f"_stemsplit_words_or_files {words}",
        "file": "_stemsplit_files",
        "folder": "_stemsplit_folders",
        "free": ":",
    }.get(value.kind, f"_stemsplit_words {words}")


def _option_names(command: CommandEntry) -> str:
    return " ".join(name for option in command.options for name in option.names)


def _quote(text: str) -> str:
    return f'"{text}"'
