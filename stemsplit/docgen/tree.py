"""The command tree as plain data, for the man pages and the completion scripts.

It is read from the Typer apps, using public names only. Choices, limits and paths, which Typer does
not expose, are read from the type hints of the function of a command.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args, get_origin, get_type_hints

import typer

from stemsplit.checkpoints.registry import list_models
from stemsplit.cli.commands import COMMANDS, DEFAULT_COMMAND, load_command
from stemsplit.separation.device import DEVICES
from stemsplit.types import Daw

PROGRAM = "stemsplit"

#: The kind of a value, as far as a shell can complete it: a choice, a device, a name in the
#: registry, a model (such a name or a checkpoint file), a stem, a file, a folder, or free text.
#: Plural kinds are separated by commas.
Kind: TypeAlias = Literal[
    "choice",
    "device",
    "name",
    "names",
    "model",
    "stem",
    "stems",
    "daws",
    "file",
    "folder",
    "free",
]
#: The kinds that are lists separated by commas.
LISTS: tuple[Kind, ...] = ("names", "stems", "daws")

#: The kind of a value by its placeholder.
_KIND_OF_METAVAR: dict[str, Kind] = {
    "DEVICE": "device",
    "DEVICE,…": "device",
    "NAME": "name",
    "NAME,…": "names",
    "STEM": "stem",
    "STEM,…": "stems",
    "PROGRAM,…": "daws",
    "FILE": "file",
    "FOLDER": "folder",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """The value of an option or an argument."""

    metavar: str
    kind: Kind
    words: tuple[str, ...] = ()  # the known values
    minimum: float | None = None
    maximum: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionEntry:
    """An option: ``names`` with the short ones first; a flag has no ``value``."""

    names: tuple[str, ...]
    help: str
    value: Value | None = None
    default: str | None = None
    envvar: str | None = None
    repeats: bool = False
    section: str | None = None  # of the help

    @property
    def long(self) -> str:
        """The longest name, with its dashes."""
        return self.names[-1]

    @property
    def summary(self) -> str:
        """The help as plain text, without its full stop."""
        return self.help.replace("`", "").rstrip(".")


@dataclass(frozen=True, slots=True, kw_only=True)
class ArgumentEntry:
    """An argument."""

    value: Value
    help: str
    required: bool
    many: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandEntry:
    """A command; ``words`` are its path in the tree, such as ``("models", "list")``."""

    words: tuple[str, ...]
    paragraphs: tuple[str, ...]
    options: tuple[OptionEntry, ...]
    arguments: tuple[ArgumentEntry, ...]
    commands: tuple[CommandEntry, ...] = ()

    @property
    def name(self) -> str:
        """The last word."""
        return self.words[-1]

    @property
    def invocation(self) -> str:
        """The command as it is typed: the default command without its name."""
        words = () if self.is_default else self.words
        return " ".join((PROGRAM, *words))

    @property
    def summary(self) -> str:
        """The first sentence as plain text, without its full stop."""
        return self.paragraphs[0].partition(". ")[0].rstrip(".").replace("`", "")

    @property
    def path(self) -> str:
        """The words, separated by spaces."""
        return " ".join(self.words)

    @property
    def has_sections(self) -> bool:
        """Whether its help has sections and a short form."""
        return SHORT_HELP in {option.names for option in self.options}

    @property
    def is_default(self) -> bool:
        """Whether it is the command that runs if none is named."""
        return self.words == (DEFAULT_COMMAND,)

    def walk(self) -> Iterator[CommandEntry]:
        """Yield the command and its subcommands, recursively."""
        yield self
        for command in self.commands:
            yield from command.walk()


SHORT_HELP = ("-h",)
LONG_HELP = OptionEntry(names=("--help",), help="Show all options and exit.")
HELP = OptionEntry(names=("-h", "--help"), help="Show a summary of the options and exit.")


def read_commands() -> tuple[CommandEntry, ...]:
    """Return all commands of the program, in the order of `COMMANDS`."""
    return tuple(
        _read_command((name,), typer.main.get_command(load_command(name))) for name in COMMANDS
    )


# Typer keeps Click's classes in a private module, so the objects below have no type to name.


def _read_command(words: tuple[str, ...], command: Any) -> CommandEntry:
    below = getattr(command, "commands", {})
    # A group has no function, and no options except --help.
    hints = {} if below else get_type_hints(inspect.unwrap(command.callback), include_extras=True)
    options: list[OptionEntry] = []
    arguments: list[ArgumentEntry] = []
    for parameter in command.params:
        if parameter.hidden:
            continue
        if parameter.opts[0].startswith("-"):
            options.append(_read_option(parameter, hints[parameter.name]))
        else:
            arguments.append(_read_argument(parameter, hints[parameter.name]))
    return CommandEntry(
        words=words,
        paragraphs=_paragraphs(command.help),
        options=(*options, LONG_HELP if SHORT_HELP in {each.names for each in options} else HELP),
        arguments=tuple(arguments),
        commands=tuple(_read_command((*words, name), below[name]) for name in below),
    )


def _read_option(parameter: Any, hint: Any) -> OptionEntry:
    names = sorted((*parameter.opts, *parameter.secondary_opts), key=lambda name: name[:2] == "--")
    takes_value = not (parameter.is_flag or parameter.count)
    return OptionEntry(
        names=tuple(names),
        help=_one_line(parameter.help),
        value=_read_value(parameter, hint) if takes_value else None,
        default=_default(parameter.default) if takes_value else None,
        envvar=parameter.envvar,
        repeats=bool(parameter.count or parameter.multiple),
        section=parameter.rich_help_panel,
    )


def _read_argument(parameter: Any, hint: Any) -> ArgumentEntry:
    return ArgumentEntry(
        value=_read_value(parameter, hint),
        help=_one_line(parameter.help),
        required=parameter.required,
        many=parameter.nargs != 1,
    )


def _read_value(parameter: Any, hint: Any) -> Value:
    # The placeholder of an optional argument is in brackets: [NAME].
    metavar = (parameter.metavar or "").strip("[]")
    choices = _choices(hint)
    kind: Kind = "file" if _mentions(hint, Path) else "free"
    kind = "choice" if choices else _KIND_OF_METAVAR.get(metavar, kind)
    if kind == "name" and parameter.name == "model":
        kind = "model"
    minimum, maximum = _limits(hint)
    return Value(
        metavar=metavar or parameter.name.upper(),
        kind=kind,
        words=choices or known_words(kind),
        minimum=minimum,
        maximum=maximum,
    )


def known_words(kind: Kind) -> tuple[str, ...]:
    """Return the known values of ``kind``."""
    match kind:
        case "device":
            return DEVICES
        case "name" | "names" | "model":
            return tuple(model.name for model in list_models())
        case "stem" | "stems":
            return tuple(dict.fromkeys(stem for model in list_models() for stem in model.stems))
        case "daws":
            return get_args(Daw)
    return ()


def _choices(hint: Any) -> tuple[str, ...]:
    """Return the strings of the ``Literal`` in ``hint``; none without one."""
    if get_origin(hint) is Literal:
        return get_args(hint)
    return next(filter(None, map(_choices, get_args(hint))), ())


def _mentions(hint: Any, wanted: type) -> bool:
    return hint is wanted or any(_mentions(part, wanted) for part in get_args(hint))


def _limits(hint: Any) -> tuple[float | None, float | None]:
    """Return the minimum and the maximum of the option in ``hint``."""
    declarations = [part for part in get_args(hint) if hasattr(part, "min")]
    return (declarations[0].min, declarations[0].max) if declarations else (None, None)


def _default(value: Any) -> str | None:
    if value is None:
        return None
    return f"{value:g}" if isinstance(value, float) else str(value)


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())


def _paragraphs(text: str | None) -> tuple[str, ...]:
    return tuple(_one_line(part) for part in inspect.cleandoc(text or "").split("\n\n"))


def walk(commands: Iterable[CommandEntry]) -> list[CommandEntry]:
    """Return ``commands`` and their subcommands, recursively."""
    return [each for command in commands for each in command.walk()]
