"""The commands: a row for each, and a file."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typer


@dataclass(frozen=True, slots=True)
class CommandRow:
    """A command: its ``purpose`` in a few words, and whether it does anything without arguments."""

    purpose: str
    needs_arguments: bool = True  # without any it shows its help


#: The file of a command in this folder has the command's name and defines its ``app``. The order is
#: that of lists and pages.
COMMANDS = {
    "split": CommandRow("split songs into stems"),
    "watch": CommandRow("split what appears in a folder"),
    "models": CommandRow("models and their weights"),
    "demo": CommandRow("a song of its own, split and scored", needs_arguments=False),
    "evaluate": CommandRow("how good stems are"),
    "config": CommandRow("settings in effect, and where each comes from"),
    "doctor": CommandRow("for bug reports", needs_arguments=False),
}
#: What a first word means that is not a command: a file to split.
DEFAULT_COMMAND = "split"


def load_command(name: str) -> typer.Typer:
    """Return the Typer app of the command ``name``."""
    app: typer.Typer = importlib.import_module(f"stemsplit.cli.{name}").app
    return app
