"""Recipes from the YAML files of the community's trainer, Music-Source-Separation-Training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stemsplit.checkpoints import msst_config


@dataclass(frozen=True, slots=True)
class CommunityRecipe:
    """The tables of a recipe, and sentences about what is left out of it."""

    tables: dict[str, Any]
    warnings: list[str]


def read_community_recipe(path: Path, name: str) -> CommunityRecipe:
    """Return the recipe in the file at ``path`` for the network that the trainer calls ``name``."""
    network = msst_config.read(path, name)
    tables = {"architecture": network.architecture, "network": network.config}
    return CommunityRecipe(tables, ["only the network is read"])
