"""``stemsplit models``: list the models, and manage their weights on this machine."""

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

# The registry and the cache are imported in the commands: --help does not need them.
app = options.new_app(help="List the models, and manage their weights on this machine.")
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
    """Download the weights of models, so that they can be used offline."""
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
        typer.Argument(metavar="NAME", help="Names of models; all downloaded ones by default."),
    ] = None,
    debug: options.Debug = False,
) -> int:
    """Check that the weights on this machine match the download, bit for bit."""
    from stemsplit.checkpoints import cache
    from stemsplit.checkpoints.registry import list_models, resolve

    console = Console(sys.stdout, sys.stderr)
    models = [resolve(name) for name in names or ()]
    for model in models or [model for model in list_models() if cache.find(model)]:
        cache.verify(model)
        verifiable = cache.is_verifiable(model)
        console.data(
            f"{model.name}: ok{'' if verifiable else ', same as downloaded, but unverified'}"
        )
    return ExitCode.DONE


@app.command()
def rm(names: ModelNames, debug: options.Debug = False) -> int:
    """Remove the weights of models from this machine."""
    from stemsplit.checkpoints import cache
    from stemsplit.checkpoints.registry import resolve

    console = Console(sys.stdout, sys.stderr)
    for model in [resolve(name) for name in names]:
        removed = cache.remove(model)
        console.note(f"{model.name}: {'removed' if removed else 'was not downloaded'}")
    return ExitCode.DONE


@app.command()
def path(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME", help="Name of a model; without it, the cache folder is shown."
        ),
    ] = None,
) -> int:
    """Show the paths of the weights of a model, or the folder of all weights."""
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
    """Write the paths of the weights of ``model``, one per line; raise if they are missing."""
    from stemsplit.checkpoints import cache

    for network in cache.networks(model):
        if network.sources:
            weights = cache.find(network)
            if weights is None:
                raise cache.not_cached(network)
            console.data(str(weights))
