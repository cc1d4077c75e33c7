"""Options that several commands share, besides the options of a split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from typer.core import TyperCommand
from typer.models import CommandFunctionType

from stemsplit.cli.conversion import LateGroup
from stemsplit.cli.declared import After
from stemsplit.cli.help import PlainHelp
from stemsplit.errors import UsageError
from stemsplit.options import repeat
from stemsplit.types import ProgressStyle
from stemsplit.version import __version__


class App(typer.Typer):
    """A Typer app whose commands have a `PlainHelp`, unless they name another class."""

    def command(
        self, name: str | None = None, *, cls: type[TyperCommand] | None = None, **settings: Any
    ) -> Callable[[CommandFunctionType], CommandFunctionType]:
        """Return a decorator that adds a function as a command."""
        return super().command(name, cls=cls or PlainHelp, **settings)


def new_app(**settings: Any) -> typer.Typer:
    """Return a Typer app with the settings of every command.

    Plain help (rich would double its run time), ``-h``, no pretty tracebacks, no completion options
    (the scripts in ``completions/`` are static).
    """
    return App(
        cls=LateGroup,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        **settings,
    )


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"stemsplit {__version__}")
        raise typer.Exit


Version = Annotated[
    bool,
    typer.Option(
        "--version", is_eager=True, callback=_show_version, help="Show the version and exit."
    ),
]
Force = Annotated[
    bool,
    typer.Option(
        "--force", "-f", rich_help_panel="Folders and resuming", help="Replace all existing files."
    ),
    After("daw"),
]
Update = Annotated[
    bool,
    typer.Option(
        "--update",
        rich_help_panel="Folders and resuming",
        help="Redo stems that were made with other options or models.",
    ),
    After("force"),
]
ProgressOption = Annotated[
    ProgressStyle,
    typer.Option(
        "--progress",
        envvar="STEMSPLIT_PROGRESS",
        rich_help_panel="Reporting",
        help="Progress on stderr: a bar (auto: on a terminal), lines, or JSON objects (ndjson).",
    ),
]
Quiet = Annotated[
    int,
    typer.Option(
        "--quiet",
        "-q",
        count=True,
        show_default=False,
        rich_help_panel="Reporting",
        help="Hide progress and notes; -qq hides warnings too.",
    ),
]
Verbose = Annotated[
    int,
    typer.Option(
        "--verbose",
        "-v",
        count=True,
        show_default=False,
        rich_help_panel="Reporting",
        help="Show each step and how long it takes.",
    ),
]
Debug = Annotated[
    bool,
    typer.Option("--debug", rich_help_panel="Reporting", help="Show tracebacks of errors."),
]
Json = Annotated[
    bool,
    typer.Option(
        "--json", rich_help_panel="Reporting", help="Write JSON to stdout, one object per line."
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchOptions:
    """How weights may be downloaded."""

    offline: bool = repeat("offline")
    allow_unverified: bool = repeat("allow_unverified")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChoice:
    """The model to run."""

    model: str = repeat("model")


Ensemble = Annotated[
    str | None,
    typer.Option(
        "--ensemble",
        metavar="NAME,…",
        rich_help_panel="Model and quality",
        help="Average these models, instead of using --model.",
    ),
    After("model"),
]


def choose_model(model: str, ensemble: str | None) -> str:
    """Return the model or models to run, by their names in the registry.

    Raises ``UsageError`` for an empty ensemble or an unknown model, and ``CheckpointError`` for a
    file that does not exist, before anything slow is imported.
    """
    if ensemble is not None and not ensemble.strip(" ,"):
        raise UsageError("--ensemble is empty: name at least one model")
    # Imported here: --help does not need the registry.
    from stemsplit.checkpoints.loading import members
    from stemsplit.checkpoints.registry import local_file, resolve

    names = members(model if ensemble is None else ensemble)
    for name in names:
        if local_file(name) is None:
            resolve(name)
    return ",".join(names)
