"""Read settings from ``config.toml`` in the user's configuration folder.

A setting is the long name of an option without its dashes. Those at the top apply to ``stemsplit
FILE…`` and to options of other commands with the same environment variable; a table ``[NAME]``
applies to the command of that name, and overrides them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from stemsplit.cli.commands import COMMANDS
from stemsplit.errors import UsageError
from stemsplit.small_files import parse_toml, read_small
from stemsplit.user_folders import config_dir

VARIABLE = "STEMSPLIT_CONFIG"
#: Options that cannot be settings.
NOT_SETTINGS = ("version", "help", "print-config")
#: The end of the placeholder of an option that takes several values separated by commas.
LIST = ",…"
#: Mutually exclusive options: the one from the source with the highest priority wins.
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
    """Return the path of the configuration file, even if it does not exist."""
    if named := os.environ.get(VARIABLE):
        return Path(named)
    return config_dir() / "config.toml"


def read_settings() -> dict[str, Any]:
    """Return the tables of the configuration file, empty if the file does not exist.

    Raises ``UsageError`` for a file that cannot be read or is not valid TOML, and if the file that
    STEMSPLIT_CONFIG names does not exist.
    """
    path = config_path()
    try:
        content = read_small(path)
    except FileNotFoundError as exc:
        if os.environ.get(VARIABLE):
            raise UsageError("no such file", path=path, hint=f"set by {VARIABLE}") from exc
        return {}
    except OSError as exc:
        raise UsageError(f"cannot be read: {exc.strerror}", path=path) from exc
    if not content.strip():
        return {}
    try:
        return parse_toml(content)
    except ValueError as exc:
        raise UsageError(f"invalid TOML: {exc}", path=path) from exc


def defaults_for(settings: Mapping[str, Any], name: str, command: Any, main: Any) -> dict[str, Any]:
    """Return the ``settings`` for ``command``, called ``name``, as Click's map of defaults.

    ``main`` is the command to which settings at the top apply. Raises ``UsageError`` for unknown
    settings.
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
    """Return ``defaults`` without those that ``arguments`` or variables override by a rival."""
    if getattr(command, "commands", {}):
        return defaults
    # Invalid arguments are reported later, when they are parsed strictly.
    context = command.make_context("", list(arguments), resilient_parsing=True)
    sources = {name: context.get_parameter_source(name) for name in context.params}
    nearer = {
        name
        for name, source in sources.items()
        if source is not None and source.name in ("COMMANDLINE", "ENVIRONMENT")
    }
    return _yielding(defaults, nearer)


def caused_by_setting(error: UsageError, context: Any) -> bool:
    """Return whether a value from the configuration file caused ``error`` in the command.

    The error then names its option, or quotes its value.
    """
    for key, option in _options(context.command).items():
        source = context.get_parameter_source(option.name)
        if source is not None and source.name == "DEFAULT_MAP":
            setting = str(context.lookup_default(option.name))
            values = {repr(each.strip()).lower() for each in setting.split(",")}
            quoted = any(value in error.reason.lower() for value in values)
            if quoted or re.search(rf"(?<![\w-])--{key}(?![\w-])", error.reason):
                return True
    return False


def _yielding(settings: Mapping[str, Any], nearer: Collection[str]) -> dict[str, Any]:
    """Return the ``settings`` that have no rival in ``nearer``."""
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
    """Return the options of ``command`` that can be settings, by their long names."""
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
    """Return ``value`` in the form that ``option`` takes, such as a list joined by commas."""
    if option.multiple:
        return value if isinstance(value, list) else [value]
    if not isinstance(value, list):
        return value
    if not (option.metavar or "").endswith(LIST):
        raise UsageError(f"{key} takes a single value, not a list", path=config_path())
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
    """Yield the options in ``context`` as lines of TOML, with the origin of each value."""
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

    # Strings, numbers and booleans are the same in TOML and JSON.
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value if isinstance(value, bool | int | float) else str(value))
