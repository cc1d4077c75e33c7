"""Options that several commands share, besides those of a split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from stemsplit.cli.declared import After
from stemsplit.errors import UsageError
from stemsplit.options import repeat
from stemsplit.types import ProgressStyle
from stemsplit.version import __version__


def new_app(**settings: Any) -> typer.Typer:
    """Return a Typer app with the settings that every command has.

    Plain help (rich would double its cost), ``-h``, no pretty tracebacks, no completion options
    (the scripts under ``completions/`` are static).
    """
    return typer.Typer(
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
        "--force", "-f", rich_help_panel="Folders and resuming", help="Replace whatever exists."
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
        help="A bar (auto: on a terminal), lines, or JSON objects for programs, on stderr.",
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
        help="No progress and remarks; -qq: no warnings either.",
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
        help="Say what is done and how long it takes.",
    ),
]
Debug = Annotated[
    bool,
    typer.Option("--debug", rich_help_panel="Reporting", help="Show the traceback of an error."),
]
Json = Annotated[
    bool,
    typer.Option(
        "--json", rich_help_panel="Reporting", help="Write JSON to stdout, one object a line."
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchOptions:
    """How weights may be fetched."""

    offline: bool = repeat("offline")
    allow_unverified: bool = repeat("allow_unverified")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChoice:
    """Which model is run."""

    model: str = repeat("model")


Ensemble = Annotated[
    str | None,
    typer.Option(
        "--ensemble",
        metavar="NAME,…",
        rich_help_panel="Model and quality",
        help="The mean of these models, in place of --model.",
    ),
    After("model"),
]


def choose_model(model: str, ensemble: str | None) -> str:
    """Return what is to be run, by the names of the registry.

    Raises ``UsageError`` for an ensemble of nothing.
    """
    if ensemble is not None and not ensemble.strip(" ,"):
        raise UsageError("--ensemble names no model")
    # Imported here: --help does without the registry.
    from stemsplit.checkpoints.loading import members

    return ",".join(members(model if ensemble is None else ensemble))
