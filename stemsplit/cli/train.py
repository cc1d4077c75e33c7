"""``stemsplit train``: train a network on songs with stems."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stemsplit.cli import options
from stemsplit.cli.console import Console
from stemsplit.cli.declared import with_groups
from stemsplit.errors import ExitCode, UsageError
from stemsplit.options import repeat

if TYPE_CHECKING:
    from stemsplit.training.recipe import Recipe
    from stemsplit.training.run import TrainOptions

app = options.new_app()

#: The word instead of a recipe that lists all of them.
LIST = "recipes"
#: Processes that draw batches by default, at most.
MOST_WORKERS = 8


@app.command()
@with_groups
def train(
    *,
    name: Annotated[
        str,
        typer.Argument(
            metavar="RECIPE",
            help="A recipe by name, a TOML file, or `recipes` to list those of stemsplit.",
        ),
    ],
    data: Annotated[
        list[Path] | None,
        typer.Option(
            "--data", metavar="FOLDER", help="A folder of songs with their stems. Repeatable."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FOLDER", help="The folder of the run."),
    ] = None,
    mapped: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="STEM=PATTERN",
            help="The files that are a stem, such as `drums=kick*`. Repeatable.",
        ),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Steps in all, instead of the recipe's.")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, max=2**32 - 1, help="Random seed of the run."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A setting of the recipe, such as `optimizer.lr=1e-4`. Repeatable.",
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A YAML file of Music-Source-Separation-Training with the settings to use.",
        ),
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(
            "--init",
            metavar="NAME",
            help="Start with the weights of this model or checkpoint file (fine-tuning).",
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="RUN@STEP",
            help="Start with a state that another run kept, or, without @STEP, with its last one.",
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Only check whether the network can learn one batch by heart."
        ),
    ] = False,
    device: str = "auto",
    workers: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=0,
            help="Processes that draw batches; by default one less than there are cores, at most "
            "8. They do not change the result.",
        ),
    ] = None,
    loggers: Annotated[
        list[str] | None,
        typer.Option(
            "--logger",
            metavar="MODULE:FUNCTION",
            help="A Python function that returns a logger for the figures. Repeatable.",
        ),
    ] = None,
    fetching: options.FetchOptions,
    quiet: options.Quiet = 0,
    verbose: options.Verbose = 0,
    debug: options.Debug = False,
) -> int:
    """Train a network on songs with stems.

    The folder of the run holds best.safetensors and last.safetensors, for `stemsplit -n`, and the
    state of the run: the same command resumes it.
    """
    console = Console(sys.stdout, sys.stderr, quiet=quiet, verbose=verbose, debug=debug)
    if name == LIST:
        return list_recipes(console)
    raise NotImplementedError
