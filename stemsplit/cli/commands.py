"""The commands: a row for each, and a file."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typer

#: Each command and whether it shows its help when it is called without arguments. Its file in this
#: folder has the command's name and defines its ``app``. The order is that of lists and pages.
COMMANDS = {
    "split": True,
    "watch": True,
    "models": True,
    "demo": False,
    "evaluate": True,
    "config": True,
    "doctor": False,
}
#: What a first word means that is not a command: a file to split.
DEFAULT_COMMAND = "split"


def load_command(name: str) -> typer.Typer:
    """Return the Typer app of the command ``name``."""
    app: typer.Typer = importlib.import_module(f"stemsplit.cli.{name}").app
    return app
