"""``stemsplit config``: the settings in effect, and where they come from."""

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

app = options.new_app(help="Show the configuration file and the settings in effect.")


@app.command()
def show(
    command: Annotated[
        str, typer.Argument(metavar="COMMAND", help="The command whose options to show.")
    ] = "split",
    debug: options.Debug = False,
) -> int:
    """Show the value and origin of every option, as TOML for a configuration file.

    The command line overrides environment variables, which override the configuration file, which
    overrides the defaults.
    """
    loaded = {name: typer.main.get_command(load_command(name)) for name in COMMANDS}
    first, *below = command.split(".")
    if first not in loaded:
        raise UsageError(f"unknown command: {first}", hint=f"choose one of: {', '.join(loaded)}")
    chosen: Any = loaded[first]
    defaults = defaults_for(read_settings(), first, chosen, loaded[DEFAULT_COMMAND])
    for word in below:
        if word not in getattr(chosen, "commands", {}):
            raise UsageError(f"unknown command: {command}")
        chosen, defaults = chosen.commands[word], defaults[word]
    if commands := getattr(chosen, "commands", {}):
        names = ", ".join(f"{command}.{name}" for name in commands)
        raise UsageError(f"{command} has no options itself", hint=f"choose one of: {names}")
    defaults = without_outranked(defaults, chosen, [])
    console = Console(sys.stdout, sys.stderr)
    # Options can be read even if required arguments are missing.
    context = chosen.make_context(command, [], resilient_parsing=True, default_map=defaults)
    for line in list_settings(context):
        console.data(line)
    return ExitCode.DONE


@app.command()
def path(debug: options.Debug = False) -> int:
    """Print the path of the configuration file, even if it does not exist."""
    Console(sys.stdout, sys.stderr).data(str(config_path()))
    return ExitCode.DONE
