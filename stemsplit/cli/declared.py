"""Turn declared options into options of the command line."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer

from stemsplit.audio.excerpt import parse_time
from stemsplit.audio.formats import parse_bitrate, parse_quality
from stemsplit.declarations import Declaration, declaration, hints_of
from stemsplit.options import parse_batch
from stemsplit.types import Format, StreamFormat

#: Parsers for options whose words on the command line differ from their declared type. Each takes
#: all words of its group, by option name.
_READERS: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "batch": lambda words: parse_batch(words["batch"]),
    "bitrate": lambda words: parse_bitrate(words["bitrate"]),
    "quality": lambda words: parse_quality(words["quality"], stored_format(words["format"])),
    "format": lambda words: stored_format(words["format"]),
    "stems": lambda words: parse_names(",".join(words["stems"])),
    "daw": lambda words: tuple(dict.fromkeys(parse_names((words["daw"] or "").lower()))),
    "mixes": lambda words: tuple(words["mixes"]),
    **{
        name: lambda words, name=name: parse_time(words[name])  # type: ignore[misc]
        for name in ("start", "end", "duration", "preview")
    },
}
#: The types of these options on the command line; the others are text.
_TYPES: Mapping[str, Any] = {
    "mixes": list[str] | None,
    "stems": list[str] | None,
    "format": StreamFormat,
}


@dataclass(frozen=True)
class Without:
    """Annotates a group: the command does not have its option ``name``."""

    name: str


@dataclass(frozen=True)
class After:
    """Annotates an option: it comes after the option ``name`` of a group."""

    name: str


def with_groups(command: Callable[..., int]) -> Callable[..., int]:
    """Return ``command`` for Typer, with each parameter that is a dataclass replaced by its fields.

    The fields, including those of nested dataclasses, become options; ``command`` receives the
    dataclass. A field that declares an option becomes that option.
    """
    hints = get_type_hints(command, include_extras=True)
    groups = {name: group for name, hint in hints.items() if is_dataclass(group := _plain(hint))}

    def run(**values: Any) -> int:
        made = {name: _collect(group, values) for name, group in groups.items()}
        own = {name: value for name, value in values.items() if name in hints}
        return command(**own, **made)

    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        if name in groups:
            lacking = [w.name for w in get_args(hints[name]) if isinstance(w, Without)]
            parameters += [p for p in _parameters(groups[name]) if p.name not in lacking]
        else:
            kind = inspect.Parameter.KEYWORD_ONLY
            option = parameter.replace(kind=kind, annotation=hints[name])
            parameters.insert(_place_of(option, parameters), option)
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    return run


def _place_of(option: inspect.Parameter, before: list[inspect.Parameter]) -> int:
    """Return the index at which ``option`` belongs among the parameters ``before``."""
    names = [each.name for each in before]
    after = [each.name for each in get_args(option.annotation) if isinstance(each, After)]
    return names.index(after[0]) + 1 if after and after[0] in names else len(names)


def _plain(hint: Any) -> Any:
    """Return ``hint`` without `Annotated`."""
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def _collect(group: Any, values: Mapping[str, Any]) -> Any:
    """Return the dataclass ``group`` built from ``values``, words of the command line."""
    made = {}
    for field in fields(group):
        hint = hints_of(group)[field.name]
        found = declaration(field)
        if is_dataclass(hint):
            made[field.name] = _collect(hint, values)
        elif field.name not in values:
            continue
        elif found is None:
            made[field.name] = values[field.name]
        elif _is_off_switch(field, hint):
            made[field.name] = not values[field.name]
        elif field.name in _READERS and values[field.name] is not None:
            made[field.name] = _READERS[field.name](values)
        elif values[field.name] is not None:
            made[field.name] = values[field.name]
    return group(**made)


def _parameters(group: Any) -> Iterator[inspect.Parameter]:
    """Yield the options of the dataclass ``group`` as parameters for Typer."""
    hints = get_type_hints(group, include_extras=True)
    for field in fields(group):
        hint, found = hints[field.name], declaration(field)
        if is_dataclass(hint):
            yield from _parameters(hint)
        elif found is not None:
            yield option_parameter(field, hint, found)
        elif get_origin(hint) is Annotated:
            yield inspect.Parameter(
                field.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=field.default,
                annotation=hint,
            )


def option_parameter(
    field: dataclasses.Field[Any], hint: Any, found: Declaration
) -> inspect.Parameter:
    """Return the option that ``field`` declares, as a parameter for Typer."""
    off = _is_off_switch(field, hint)
    name = f"--{found.name or field.name.replace('_', '-')}"
    is_read = field.name in _READERS  # parsed from text, for which Typer has no limits
    option = typer.Option(
        *([name, found.short] if found.short else [name]),
        help=found.help,
        metavar=found.metavar,
        envvar=found.variable,
        rich_help_panel=found.section,
        case_sensitive=False,
        min=None if is_read else found.minimum,
        max=None if is_read else found.maximum,
    )
    kind: Any = bool if off else hint
    default = False if off else field.default
    if is_read:
        kind = _TYPES.get(field.name, str | None)
        default = field.default if field.name == "format" else None
    return inspect.Parameter(
        field.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[kind, option],
    )


def _is_off_switch(field: dataclasses.Field[Any], hint: Any) -> bool:
    """Return whether an option is on by default, so that the command line turns it off."""
    return hint is bool and field.default is True


def stored_format(word: StreamFormat) -> Format:
    """Return the format in which a stem is stored: raw samples are those of a WAV."""
    return "wav" if word == "raw" else word


def parse_names(text: str) -> tuple[str, ...]:
    """Return the names in a list separated by commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())
