"""A registry for a test: its tables, the file that contains them, and pulls of its models."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from command import TINY

from stemsplit.checkpoints import cache, connection, registry
from stemsplit.checkpoints.entries import Model
from stemsplit.types import Fetching, Noted, Warned

#: Facts of a source that is only shown, never fetched.
ADDRESS = 'address = "https://example.org/w", size = 12_300_000'
_SCORE = """
[[models.mine.scores]]
metric = "cSDR"
dataset = "MUSDB18 test"
source = "a paper"
"""
#: Published scores of a model ``mine``: for two of its four stems, or only their mean.
SCORES = f"{_SCORE}values = {{ drums = 6.5, bass = 5.0 }}\n"
MEAN_SCORE = f"{_SCORE}mean = 5.5\n"


def table(name: str, sources: Sequence[str], more: str = "") -> str:
    """Return the table of a model ``name`` that is the tiny HTDemucs, but for its weights.

    They come from safetensors files: ``sources`` holds for each of them the facts that the registry
    has of it. ``more`` are further lines.
    """
    tiny = registry.resolve(TINY)
    config = ", ".join(f"{key} = {json.dumps(value)}" for key, value in tiny.config.items())
    network = f'architecture = "{tiny.architecture}"\nconfig = {{ {config} }}'
    text = _model(name, network, more)
    for facts in sources:
        text += f"""
[[models."{name}".sources]]
format = "safetensors"
files = [{{ {facts} }}]
"""
    return text


def ensemble(
    name: str, members: Sequence[str], weights: Sequence[Sequence[float]], more: str = ""
) -> str:
    """Return the table of an ensemble ``name`` of networks like the tiny HTDemucs.

    ``weights`` has a row for each member. ``more`` are further lines.
    """
    return _model(name, f"members = {json.dumps(members)}\nweights = {json.dumps(weights)}", more)


def _model(name: str, network: str, more: str) -> str:
    """Return the table of a model ``name``; ``network`` and ``more`` are lines of it."""
    tiny = registry.resolve(TINY)
    return f"""
[models."{name}"]
description = "d"
{network}
stems = {json.dumps(tiny.stems)}
sample_rate = {tiny.sample_rate}
channels = {tiny.channels}
segment = {tiny.segment}
licence = "MIT"
training_data = "none"
{more}
"""


class OwnRegistry:
    """The file that ``STEMSPLIT_REGISTRY`` names: another one each time, as each is read once."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        self._monkeypatch = monkeypatch
        self._written = 0
        self.path = folder / "none.toml"

    def write(self, text: str) -> None:
        self._written += 1
        self.path = self._folder / f"registry{self._written}.toml"
        self.path.write_text(text)
        self._monkeypatch.setenv("STEMSPLIT_REGISTRY", str(self.path))

    def edit(self, old: str, new: str) -> None:
        """Write it again with ``new`` for ``old``."""
        text = self.path.read_text()
        assert old in text
        self.write(text.replace(old, new))


def pull(
    model: Model,
    *,
    stems: Sequence[str] | None = None,
    offline: bool = False,
    unverified: bool = False,
) -> list[Fetching | Noted | Warned]:
    """Return all events while ``model`` is fetched, with short time-outs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection, "ANSWER_SECONDS", 1.0)
        patch.setattr(connection, "BODY_SECONDS", 1.0)
        return list(cache.pull(model, stems=stems, offline=offline, allow_unverified=unverified))
