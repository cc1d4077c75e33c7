"""Help in sections, and a short help with the most common options."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar

import typer

from stemsplit.cli.commands import COMMANDS, DEFAULT_COMMAND
from stemsplit.cli.configured import ConfiguredCommand
from stemsplit.cli.console import wrap
from stemsplit.declarations import SECTIONS

#: The section of options that name none.
REST = "Other options"


class PlainHelp(ConfiguredCommand):
    """A command whose help shows arguments by their names alone, without Python's types."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the words after the name of the command; without Typer's braces."""
        pieces: list[str] = super().collect_usage_pieces(ctx)
        return [piece.translate({ord("{"): None, ord("}"): None}) for piece in pieces]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments and the options."""
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for parameter in self.get_params(ctx):
            is_argument = parameter.param_type_name == "argument"
            if (record := _record(parameter, ctx)) is not None:
                sections["Arguments" if is_argument else "Options"].append(record)
        _write_sections(formatter, sections)

    def get_short_help_str(self, limit: int = 45) -> str:
        """Return the first line of the help, for the list of commands, however long it is."""
        return (self.help or "").partition("\n")[0].rstrip(".")


class HelpPage(PlainHelp):
    """A command whose ``--help`` has sections, after ``examples``, and whose ``-h`` is short.

    ``brief`` contains the options that ``-h`` shows: short descriptions, by their names in Python.
    Subclasses set both.
    """

    examples: ClassVar[Sequence[str]] = ()
    brief: ClassVar[Mapping[str, str]] = {}

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the examples, the options by section, and the list of commands."""
        if self.examples:
            with formatter.section("Examples"):
                formatter.write("".join(f"  {example}\n" for example in self.examples))
        sections: dict[str, list[tuple[str, str]]] = {name: [] for name in (*SECTIONS, REST)}
        parameters: list[Any] = self.get_params(ctx)
        for parameter in parameters:
            if (record := _record(parameter, ctx)) is not None:
                is_argument = parameter.param_type_name == "argument"
                section = "Input" if is_argument else parameter.rich_help_panel or REST
                sections[section].append(record)
        _write_sections(formatter, sections)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the list of the other commands, if this is the default one."""
        if self.name == DEFAULT_COMMAND:
            with formatter.section("Commands (stemsplit NAME --help)"):
                rows = COMMANDS.items()
                formatter.write_dl([(n, row.purpose) for n, row in rows if n != DEFAULT_COMMAND])

    def short_help_lines(self, ctx: Any) -> Iterator[str]:
        """Yield the lines of ``-h``."""
        program = ctx.command_path
        yield f"Usage: {program} {' '.join(self.collect_usage_pieces(ctx))}"
        yield ""
        columns = shutil.get_terminal_size().columns
        yield from wrap((self.help or "").partition("\n")[0], columns)
        yield ""
        yield from (f"  {example}" for example in self.examples)
        yield ""
        options = {parameter.name: parameter for parameter in self.get_params(ctx)}
        heads = {name: _head(options[name], ctx) for name in self.brief}
        width = max(map(len, heads.values()), default=0)
        for name, head in heads.items():
            yield from wrap(f"  {head:<{width}}  {self.brief[name]}", columns, indent=width + 4)
        yield ""
        if self.name == DEFAULT_COMMAND:
            others = ", ".join(name for name in COMMANDS if name != DEFAULT_COMMAND)
            yield from wrap(f"Commands: {others}.", columns, indent=2)
        yield f"All options: {program} --help"


def _record(parameter: Any, ctx: Any) -> tuple[str, str] | None:
    """Return the name and the description of ``parameter``; None if it is hidden."""
    if parameter.param_type_name == "argument":
        return parameter.display_name_raw, parameter.help or ""
    record: tuple[str, str] | None = parameter.get_help_record(ctx)
    return record


def _write_sections(formatter: Any, sections: Mapping[str, Sequence[tuple[str, str]]]) -> None:
    for name, records in sections.items():
        if records:
            with formatter.section(name):
                formatter.write_dl(records)


def _head(option: Any, ctx: Any) -> str:
    """Return the names and the placeholder of ``option``, without its choices."""
    return re.sub(r"<.*>", "NAME", str(option.get_help_record(ctx)[0]))


def _show_short_help(context: typer.Context, asked: bool) -> None:
    if asked:
        page: Any = context.command
        typer.echo("\n".join(page.short_help_lines(context)))
        raise typer.Exit


ShortHelp = Annotated[
    bool,
    typer.Option(
        "-h",
        is_eager=True,
        callback=_show_short_help,
        help="Show the most common options and exit.",
    ),
]
#: The context settings of commands with a short help.
LONG_HELP = {"help_option_names": ["--help"]}
