"""``stemsplit train``: train a network on songs with stems."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stemsplit.cli import options
from stemsplit.cli.console import Console
from stemsplit.cli.declared import with_groups
from stemsplit.declarations import option
from stemsplit.errors import ExitCode, UsageError
from stemsplit.separation.device import parse_device

if TYPE_CHECKING:
    from stemsplit.training.recipe import Recipe

app = options.new_app()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceOption:
    """The device to train on."""

    device: str = option(
        "auto",
        "auto, cuda, cuda:N, mps or cpu; for several GPUs, use torchrun.",
        short="-d",
        metavar="DEVICE",
        variable="STEMSPLIT_DEVICE",
    )


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
    place: DeviceOption,
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
    recipe = _read_recipe(
        console,
        name,
        config,
        settings or (),
        {"steps": steps, "seed": seed, "fine_tuning.init": init},
    )
    if not data:
        raise UsageError("--data is missing", hint="name a folder of songs with their stems")
    if out is None and not check:
        raise UsageError("--out is missing", hint="name a folder for the run, or use --check")
    parse_device(place.device)
    prepared = _prepare(recipe, data, parse_mapping(mapped or ()))
    _fetch(console, recipe, fetching)
    options_of_run: dict[str, Any] = {
        **prepared,
        "out": out or Path(),
        "device": place.device,
        "workers": _workers() if workers is None else workers,
        "start": start or "",
        "loggers": tuple(loggers or ()),
    }
    if check:
        return _check(console, options_of_run)
    return _train(console, options_of_run)


def list_recipes(console: Console) -> int:
    """Write the recipes of this program to stdout, one a line."""
    from stemsplit.training.recipe_file import list_recipes

    found = list_recipes()
    width = max(map(len, found))
    for name, description in found.items():
        console.data(f"{name:{width}}  {description}")
    return ExitCode.DONE


def parse_mapping(pairs: Sequence[str]) -> dict[str, list[str]]:
    """Return the patterns in ``STEM=PATTERN`` by stem; a stem may have several.

    Raises ``UsageError`` for a pair without a stem or a pattern.
    """
    mapping: dict[str, list[str]] = {}
    for pair in pairs:
        stem, equals, pattern = (part.strip() for part in pair.partition("="))
        if not (stem and equals and pattern):
            raise UsageError(f"--map takes STEM=PATTERN, not {pair!r}")
        mapping.setdefault(stem, []).append(pattern)
    return mapping


def _read_recipe(
    console: Console, name: str, config: Path | None, pairs: Sequence[str], given: Mapping[str, Any]
) -> Recipe:
    """Return the recipe with the settings of the YAML file, of ``--set`` and of other options."""
    from stemsplit.training.community_recipe import read_community_recipe
    from stemsplit.training.recipe_file import build_recipe, parse_settings, read_recipe

    settings = parse_settings(pairs)
    settings |= {key: value for key, value in given.items() if value is not None}
    if given.get("fine_tuning.init"):
        network = [key.removeprefix("network.") for key in settings if key.startswith("network.")]
        settings["fine_tuning.override"] = ["sources", *network]
    if config is None:
        return read_recipe(name, settings)
    found = read_community_recipe(config, name.partition(".")[0])
    for warning in found.warnings:
        console.warn(warning)
    return build_recipe(found.tables, str(config), settings)


def _prepare(
    recipe: Recipe, data: Sequence[Path], mapping: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """Return the songs of a run, as fields of `TrainOptions`, before torch is imported."""
    from stemsplit.checkpoints.folders import cache_dir
    from stemsplit.training.songs import find_songs

    sources = recipe.network.get("sources")
    if not sources:
        raise UsageError("network.sources is missing: the recipe must name the stems")
    songs = find_songs(data, sources, recipe.data.background, mapping)
    return {
        "recipe": recipe,
        "songs": tuple(songs),
        "data": tuple(map(str, data)),
        "cache": cache_dir() / "songs",
    }


def _fetch(console: Console, recipe: Recipe, fetching: options.FetchOptions) -> None:
    """Fetch the weights to start with, if they are missing."""
    if not recipe.fine_tuning.init:
        return
    from stemsplit.checkpoints import loading
    from stemsplit.cli.render import Renderer

    with Renderer(console) as renderer:
        for event in loading.prepare(
            recipe.fine_tuning.init,
            offline=fetching.offline,
            allow_unverified=fetching.allow_unverified,
        ):
            renderer.show(event)


def _train(console: Console, fields: Mapping[str, Any]) -> int:
    """Train, and write the path of the best weights to stdout."""
    from stemsplit.cli.training_progress import TrainingRenderer
    from stemsplit.separation.device import keep_freed_memory
    from stemsplit.training.run import TrainOptions, train
    from stemsplit.training.run_folder import RunFolder

    keep_freed_memory()
    with (
        TrainingRenderer(console) as renderer,
        closing(train(TrainOptions(**fields, opening=renderer.open_songs))) as events,
    ):
        for event in events:
            renderer.show(event)
    if int(os.environ.get("RANK", "0")) == 0:
        console.data(str(RunFolder(fields["out"]).best))
    return ExitCode.DONE


def _check(console: Console, fields: Mapping[str, Any]) -> int:
    """Overfit one batch, and write how well each source was learnt to stdout."""
    from stemsplit.cli.training_progress import show_overfitting
    from stemsplit.training.overfit import BUDGET
    from stemsplit.training.run import TrainOptions, check

    return show_overfitting(console, check(TrainOptions(**fields), BUDGET), BUDGET)


def _workers() -> int:
    """Return the number of workers: a core each, except that of the loop."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return max(1, min(MOST_WORKERS, ((cores or 1) - processes) // processes))
