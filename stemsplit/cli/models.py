"""``stemsplit models``: which models there are, and their weights on this machine."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from stemsplit.cli import options
from stemsplit.cli.console import Console
from stemsplit.cli.declared import with_groups
from stemsplit.cli.model_convert import convert
from stemsplit.cli.model_facts import show_
from stemsplit.cli.model_list import list_
from stemsplit.cli.render import Renderer
from stemsplit.errors import ExitCode

if TYPE_CHECKING:
    from stemsplit.checkpoints.entries import Model

# The registry and the cache are imported in the commands: --help has no need of them.
app = options.new_app(help="The models, and their weights on this machine.")
app.command("list")(list_)
app.command("show")(show_)

ModelNames = Annotated[list[str], typer.Argument(metavar="NAME", help="Names of models.")]


@app.command()
@with_groups
def pull(
    *,
    names: ModelNames,
    fetching: options.FetchOptions,
    quiet: options.Quiet = 0,
    debug: options.Debug = False,
) -> int:
    """Fetch the weights of models, so that they are here when there is no network."""
    from stemsplit.checkpoints import cache
    from stemsplit.checkpoints.registry import resolve

    console = Console(sys.stdout, sys.stderr, quiet=quiet)
    for model in [resolve(name) for name in names]:
        with Renderer(console) as renderer:
            for event in cache.pull(
                model, offline=fetching.offline, allow_unverified=fetching.allow_unverified
            ):
                renderer.show(event)
        _show_paths(console, model)
    return ExitCode.DONE


@app.command()
def verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]", help="Names of models; all that are here by default."),
    ] = None,
    debug: options.Debug = False,
) -> int:
    """Check that the weights on this machine are what was fetched, bit for bit."""
    from stemsplit.checkpoints import cache
    from stemsplit.checkpoints.registry import list_models, resolve

    console = Console(sys.stdout, sys.stderr)
    models = [resolve(name) for name in names or ()]
    for model in models or [model for model in list_models() if cache.find(model)]:
        cache.verify(model)
        verifiable = cache.is_verifiable(model)
        console.data(f"{model.name}: ok{'' if verifiable else ', as fetched, but unverified'}")
    return ExitCode.DONE


@app.command()
def rm(names: ModelNames, debug: options.Debug = False) -> int:
    """Remove the weights of models from this machine."""
    from stemsplit.checkpoints import cache
    from stemsplit.checkpoints.registry import resolve

    console = Console(sys.stdout, sys.stderr)
    for model in [resolve(name) for name in names]:
        removed = cache.remove(model)
        console.note(f"{model.name}: {'removed' if removed else 'was not here'}")
    return ExitCode.DONE


@app.command()
def path(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="The cache folder without a name.")
    ] = None,
) -> int:
    """Show where the weights of a model are, or where all weights are kept."""
    from stemsplit.checkpoints.folders import cache_dir
    from stemsplit.checkpoints.registry import resolve

    console = Console(sys.stdout, sys.stderr)
    if name is None:
        console.data(str(cache_dir()))
    else:
        _show_paths(console, resolve(name))
    return ExitCode.DONE


app.command()(convert)


def _show_paths(console: Console, model: Model) -> None:
    """Write where the weights of ``model`` are, one file a line; raise if they are not here."""
    from stemsplit.checkpoints import cache

    for network in cache.networks(model):
        if network.sources:
            weights = cache.find(network)
            if weights is None:
                raise cache.not_cached(network)
            console.data(str(weights))
