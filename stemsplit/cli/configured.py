"""Commands whose options can be settings in the configuration file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from stemsplit.cli.conversion import LateCommand
from stemsplit.cli.settings import caused_by_setting, config_path
from stemsplit.errors import UsageError


class ConfiguredCommand(LateCommand):
    """A command whose errors name the configuration file if one of its settings caused them."""

    def make_context(self, *args: Any, **extra: Any) -> Any:
        """Return the context in which the command runs."""
        context = super().make_context(*args, **extra)
        context.with_resource(_naming_config_file(context))
        return context


@contextmanager
def _naming_config_file(context: Any) -> Iterator[None]:
    try:
        yield
    except UsageError as error:
        if error.path is None and caused_by_setting(error, context):
            error.path = os.fspath(config_path())
        raise
