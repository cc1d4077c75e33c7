"""``stemsplit config``: what is settled, and where."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from stemsplit.cli import options
from stemsplit.cli.commands import COMMANDS, DEFAULT_COMMAND, load_command
from stemsplit.cli.console import Console
from stemsplit.cli.settings import (
    config_path,
    defaults_for,
    list_settings,
    read_settings,
    without_outranked,
)
from stemsplit.errors import ExitCode, UsageError

app = options.new_app(help="The configuration file, and what holds in the end.")


@app.command()
def show(
    command: Annotated[
        str, typer.Argument(metavar="[COMMAND]", help="The command whose options are shown.")
    ] = "split",
    debug: options.Debug = False,
) -> int:
    """Show the value of every option and where it comes from, as TOML for a configuration file.

    The command line goes before the environment, the environment before the configuration file,
    and that before the defaults.
    """
    loaded = {name: typer.main.get_command(load_command(name)) for name in COMMANDS}
    first, *below = command.split(".")
    if first not in loaded:
        raise UsageError(f"unknown command: {first}", hint=f"one of: {', '.join(loaded)}")
    chosen: Any = loaded[first]
    defaults = defaults_for(read_settings(), first, chosen, loaded[DEFAULT_COMMAND])
    for word in below:
        if word not in getattr(chosen, "commands", {}):
            raise UsageError(f"unknown command: {command}")
        chosen, defaults = chosen.commands[word], defaults[word]
    if commands := getattr(chosen, "commands", {}):
        names = ", ".join(f"{command}.{name}" for name in commands)
        raise UsageError(f"{command} has no options of its own", hint=f"one of: {names}")
    defaults = without_outranked(defaults, chosen, [])
    console = Console(sys.stdout, sys.stderr)
    # Without its arguments a command cannot run, but its options can be read.
    context = chosen.make_context(command, [], resilient_parsing=True, default_map=defaults)
    for line in list_settings(context):
        console.data(line)
    return ExitCode.DONE


@app.command()
def path(debug: options.Debug = False) -> int:
    """Print the path of the configuration file, whether it is there or not."""
    Console(sys.stdout, sys.stderr).data(str(config_path()))
    return ExitCode.DONE
