"""The table of commands, each of which has a module."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import typer


class CommandRow(NamedTuple):
    """A command: its ``purpose`` in a few words, and whether it needs arguments."""

    purpose: str
    needs_arguments: bool = True  # without any it shows its help


#: The module of a command has its name and defines its ``app``. Lists and man pages use this order.
COMMANDS = {
    "split": CommandRow("split songs into stems"),
    "watch": CommandRow("split songs as they appear in a folder"),
    "models": CommandRow("list models, manage their weights"),
    "demo": CommandRow("make a test song, split and score it", needs_arguments=False),
    "evaluate": CommandRow("score stems against the true ones"),
    "train": CommandRow("train a network on songs with stems"),
    "data": CommandRow("make, check and measure data sets for training"),
    "config": CommandRow("show the settings in effect, and where each comes from"),
    "doctor": CommandRow("check this machine, for bug reports", needs_arguments=False),
}
#: The command that runs if the first word is not a command.
DEFAULT_COMMAND = "split"


def load_command(name: str) -> typer.Typer:
    """Return the Typer app of the command ``name``."""
    app: typer.Typer = importlib.import_module(f"stemsplit.cli.{name}").app
    return app
