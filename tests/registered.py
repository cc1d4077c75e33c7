"""Tables for a registry of a test's own."""

from __future__ import annotations

import json
from collections.abc import Sequence

from command import TINY

from stemsplit.checkpoints import registry


def table(name: str, sources: Sequence[str], more: str = "") -> str:
    """Return the table of a model ``name`` that is the tiny HTDemucs, but for its weights.

    They come from safetensors files: ``sources`` holds for each of them the facts that the registry
    has of it. ``more`` are further lines.
    """
    tiny = registry.resolve(TINY)
    config = ", ".join(f"{key} = {json.dumps(value)}" for key, value in tiny.config.items())
    text = f"""
[models."{name}"]
description = "d"
architecture = "{tiny.architecture}"
config = {{ {config} }}
stems = {json.dumps(tiny.stems)}
sample_rate = {tiny.sample_rate}
channels = {tiny.channels}
segment = {tiny.segment}
licence = "MIT"
training_data = "none"
{more}
"""
    for facts in sources:
        text += f"""
[[models."{name}".sources]]
format = "safetensors"
files = [{{ {facts} }}]
"""
    return text
