"""Commands whose options can be settings in the configuration file."""

from __future__ import annotations

import os
from typing import Any

from stemsplit.cli.conversion import LateCommand
from stemsplit.cli.settings import caused_by_setting, config_path
from stemsplit.errors import UsageError


class ConfiguredCommand(LateCommand):
    """A command whose errors name the configuration file if one of its settings caused them."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except UsageError as error:
            if error.path is None and caused_by_setting(error, ctx):
                error.path = os.fspath(config_path())
            raise
