"""Folders of the user for the configuration and the cache, as each system names them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

NAME = "stemsplit"


def config_dir() -> Path:
    """Return the folder of the configuration file, which may not exist."""
    from platformdirs import user_config_dir

    return _known_or_root(lambda: user_config_dir(NAME), ".config")


def cache_dir() -> Path:
    """Return the folder of the cache, which may not exist."""
    from platformdirs import user_cache_dir

    return _known_or_root(lambda: user_cache_dir(NAME, appauthor=False), ".cache")


def _known_or_root(find: Callable[[], str], hidden: str) -> Path:
    """Return the folder that ``find`` finds, or one below the root if the user has no home.

    Such users (no HOME, no entry in the list of users) run services and containers; Docker sets
    their home to the root, too.
    """
    try:
        found = Path(find())
    except RuntimeError:
        found = Path()
    # Older versions of platformdirs return "~/.config".
    return found if found.is_absolute() else Path("/", hidden, NAME)
