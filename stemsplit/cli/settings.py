"""What a person has settled once: ``config.toml`` in the user's configuration folder.

A setting is the long name of an option without its dashes. Those at the top are for ``stemsplit
FILE…`` and, where another command has an option with the same environment variable, for that one
too; a table ``[NAME]`` is for the command of that name and goes before them.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from stemsplit.cli.commands import COMMANDS
from stemsplit.errors import UsageError
from stemsplit.small_files import parse_toml, read_small

VARIABLE = "STEMSPLIT_CONFIG"
#: What is asked of the program once, not settled.
NOT_SETTINGS = ("version", "help", "print-config")
#: How the placeholder of an option ends that takes several values with commas between them.
LIST = ",…"
#: Options of which only one can hold: what the nearer place says takes the others' place.
RIVALS = (
    {"stems", "two_stems"},
    {"model", "ensemble"},
    {"bitrate", "quality"},
    {"force", "update", "skip_existing", "resume"},
    {"end", "duration"},
    *({"preview", name} for name in ("start", "end", "duration")),
)

# Typer keeps Click's classes in a private module, so commands and contexts have no type to name.


def config_path() -> Path:
    """Return where the configuration file is, or would be."""
    if named := os.environ.get(VARIABLE):
        return Path(named)
    import platformdirs

    return platformdirs.user_config_path("stemsplit") / "config.toml"


def read_settings() -> dict[str, Any]:
    """Return the tables of the configuration file; of a file that is not there, nothing.

    Raises ``UsageError`` for a file that cannot be read or is no TOML, and for one that
    STEMSPLIT_CONFIG names and that does not exist.
    """
    path = config_path()
    try:
        content = read_small(path)
    except FileNotFoundError as exc:
        if os.environ.get(VARIABLE):
            raise UsageError("no such file", path=path, hint=f"{VARIABLE} names it") from exc
        return {}
    except OSError as exc:
        raise UsageError(f"cannot be read: {exc.strerror}", path=path) from exc
    if not content.strip():
        return {}
    try:
        return parse_toml(content)
    except ValueError as exc:
        raise UsageError(f"is no TOML: {exc}", path=path) from exc


def defaults_for(settings: Mapping[str, Any], name: str, command: Any, main: Any) -> dict[str, Any]:
    """Return the ``settings`` for ``command``, called ``name``, as Click's map of defaults.

    ``main`` is the command that the settings at the top are for. Raises ``UsageError`` for settings
    that no option has.
    """
    _refuse_unknown_tables(settings)
    at_top = {key: value for key, value in settings.items() if not isinstance(value, dict)}
    _refuse_unknown(at_top, _options(main))
    shared = _by_parameter(at_top, _options(main))
    if command is main:
        own = _own(settings.get(name, {}), command, name)
        return _yielding(shared, own) | own
    variables = {
        option.envvar: shared[option.name]
        for option in _options(main).values()
        if option.name in shared and option.envvar
    }
    return _defaults_below(settings.get(name, {}), command, name, variables)


def without_outranked(
    defaults: dict[str, Any], command: Any, arguments: Sequence[str]
) -> dict[str, Any]:
    """Return ``defaults`` without what ``arguments`` or variables settle by a rival option."""
    if getattr(command, "commands", {}):
        return defaults
    # Wrong arguments are told when they are parsed in earnest.
    context = command.make_context("", list(arguments), resilient_parsing=True)
    sources = {name: context.get_parameter_source(name) for name in context.params}
    nearer = {
        name
        for name, source in sources.items()
        if source is not None and source.name in ("COMMANDLINE", "ENVIRONMENT")
    }
    return _yielding(defaults, nearer)


def _yielding(settings: Mapping[str, Any], nearer: Collection[str]) -> dict[str, Any]:
    """Return those of ``settings`` that have no rival among ``nearer``."""
    outranked = {
        name for rivals in RIVALS for name in rivals if not (rivals - {name}).isdisjoint(nearer)
    }
    return {name: value for name, value in settings.items() if name not in outranked}


def _defaults_below(
    table: Mapping[str, Any], command: Any, place: str, variables: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the defaults of ``command`` and, if it is a group, of the commands in it."""
    below = getattr(command, "commands", {})
    if not below:
        known = {
            option.name: variables[option.envvar]
            for option in _options(command).values()
            if option.envvar in variables
        }
        own = _own(table, command, place)
        return _yielding(known, own) | own
    if unknown := [key for key in table if key not in below]:
        raise _unknown(f"[{place}] {unknown[0]}", unknown[0], below)
    return {
        name: _defaults_below(table.get(name, {}), below[name], f"{place}.{name}", variables)
        for name in below
    }


def _own(table: object, command: Any, place: str) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise UsageError(f"{place} is not a table", path=config_path(), hint=f"write [{place}]")
    options = _options(command)
    _refuse_unknown(table, options, f"[{place}] ")
    return _by_parameter(table, options)


def _options(command: Any) -> dict[str, Any]:
    """Return the options of ``command`` that can be settled, by their long names."""
    found = {}
    for parameter in command.params:
        for name in parameter.opts:
            if name.startswith("--") and name[2:] not in NOT_SETTINGS:
                found[name[2:]] = parameter
    return found


def _by_parameter(table: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for key, value in table.items():
        option = options[_as_option(key)]
        found[option.name] = _as_typed(value, option, key)
    return found


def _as_typed(value: Any, option: Any, key: str) -> Any:
    """Return ``value`` as ``option`` takes it: a list of names with commas between them, say."""
    if option.multiple:
        return value if isinstance(value, list) else [value]
    if not isinstance(value, list):
        return value
    if not (option.metavar or "").endswith(LIST):
        raise UsageError(f"{key} takes one value, no list", path=config_path())
    return ",".join(str(each) for each in value)


def _as_option(key: str) -> str:
    return key.replace("_", "-")


def _refuse_unknown(table: Mapping[str, Any], options: Mapping[str, Any], place: str = "") -> None:
    for key in table:
        if _as_option(key) not in options:
            raise _unknown(f"{place}{key}", _as_option(key), options)


def _refuse_unknown_tables(settings: Mapping[str, Any]) -> None:
    for key, value in settings.items():
        if isinstance(value, dict) and key not in COMMANDS:
            raise _unknown(f"[{key}]", key, COMMANDS)


def _unknown(shown: str, key: str, known: Mapping[str, Any]) -> UsageError:
    near = get_close_matches(key, known, n=1)
    hint = f"did you mean {near[0]}?" if near else "man stemsplit-config lists the settings"
    return UsageError(f"unknown setting: {shown}", path=config_path(), hint=hint)


def list_settings(context: Any) -> Iterator[str]:
    """Yield the values of the options in ``context`` as lines of TOML with their origins."""
    width = 0
    lines = []
    for name, option in _options(context.command).items():
        value = context.params.get(option.name)
        if option.multiple and not value:
            value = None
        origin = _origin(context, option)
        setting = f"# {name} =" if value is None else f"{name} = {_toml(value)}"
        lines.append((setting, "not set" if value is None and origin == "default" else origin))
        width = max(width, len(setting))
    yield from (f"{setting:{width}}  # {origin}" for setting, origin in lines)


def _origin(context: Any, option: Any) -> str:
    match context.get_parameter_source(option.name).name:
        case "COMMANDLINE":
            return "command line"
        case "ENVIRONMENT":
            return f"environment: {option.envvar}"
        case "DEFAULT_MAP":
            return str(config_path())
    return "default"


def _toml(value: Any) -> str:
    import json

    # A string, a number and a truth value are written in TOML as in JSON.
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value if isinstance(value, bool | int | float) else str(value))
