"""Options that several commands share, each declared once."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, get_type_hints

import typer

from stemsplit.errors import UsageError
from stemsplit.types import Batch, Precision, ProgressStyle
from stemsplit.version import __version__

DEFAULT_MODEL = "htdemucs"


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


def with_groups(command: Callable[..., int]) -> Callable[..., int]:
    """Return ``command`` as Typer takes it: a parameter that is a dataclass becomes its fields.

    These are options then, in the place of the parameter; the command is given the object.
    """
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}

    def run(**values: Any) -> int:
        made = {
            name: group(**{field.name: values.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        return command(**values, **made)

    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        if name in groups:
            own = get_type_hints(groups[name], include_extras=True)
            parameters += [
                inspect.Parameter(
                    field.name,
                    inspect.Parameter.KEYWORD_ONLY,
                    default=field.default,
                    annotation=own[field.name],
                )
                for field in fields(groups[name])
            ]
        else:
            kind = inspect.Parameter.KEYWORD_ONLY
            parameters.append(parameter.replace(kind=kind, annotation=hints[name]))
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    return run


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
Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-n",
        metavar="NAME",
        envvar="STEMSPLIT_MODEL",
        help="Model: a name of `stemsplit models list`, or a checkpoint file.",
    ),
]
Ensemble = Annotated[
    str | None,
    typer.Option(
        "--ensemble", metavar="NAME,…", help="The mean of these models, in place of --model."
    ),
]
Device = Annotated[
    str,
    typer.Option(
        "--device",
        "-d",
        metavar="DEVICE",
        envvar="STEMSPLIT_DEVICE",
        help="auto, cuda, cuda:N, mps or cpu.",
    ),
]
PrecisionChoice = Annotated[
    Precision,
    typer.Option(
        "--precision",
        envvar="STEMSPLIT_PRECISION",
        help="Arithmetic of the network; auto is fp16 on CUDA and fp32 elsewhere.",
    ),
]
Overlap = Annotated[
    float | None,
    typer.Option(
        "--overlap",
        min=0,
        max=0.99,
        metavar="SHARE",
        help="Share of a segment that overlaps the next (0.25 for most models).",
    ),
]
BatchSize = Annotated[
    str | None,
    typer.Option(
        "--batch",
        metavar="N|auto",
        help="Segments in one run of the network, of one song or of several short ones "
        "(4 on CUDA); auto: as many as fit.",
    ),
]
Offline = Annotated[
    bool,
    typer.Option(
        "--offline",
        envvar="STEMSPLIT_OFFLINE",
        help="Use no network: only checkpoints already here.",
    ),
]
AllowUnverified = Annotated[
    bool,
    typer.Option(
        "--allow-unverified",
        help="Fetch weights also where nobody has published what they should be.",
    ),
]
Progress = Annotated[
    ProgressStyle,
    typer.Option(
        "--progress",
        envvar="STEMSPLIT_PROGRESS",
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
        help="Say what is done and how long it takes.",
    ),
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Json = Annotated[bool, typer.Option("--json", help="Write JSON to stdout, one object a line.")]


def choose_model(model: str, ensemble: str | None) -> str:
    """Return what is to be run; raises ``UsageError`` for an ensemble of nothing."""
    if ensemble is None:
        return model
    if not ensemble.strip(" ,"):
        raise UsageError("--ensemble names no model")
    return ensemble


def parse_batch(text: str | None) -> Batch:
    """Return the number that ``text`` is, "auto", or None for what is usual."""
    if text is None:
        return None
    if text == "auto":
        return "auto"
    if text.isdecimal() and int(text) >= 1:
        return int(text)
    raise UsageError(f"--batch is a number of segments or auto, not {text!r}")
