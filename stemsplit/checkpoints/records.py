"""Small tables in the cache folder that later runs read: how fast models ran, what is fast here.

They only save time or improve estimates, so errors in reading and writing them are ignored.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from stemsplit.checkpoints.folders import cache_dir
from stemsplit.small_files import parse_json, read_small


def read_record(name: str) -> dict[str, Any]:
    """Return the content of the record ``name``; empty if it is missing or damaged."""
    with suppress(OSError, ValueError):
        content = parse_json(read_small(cache_dir() / name))
        if isinstance(content, dict):
            return content
    return {}


def write_record(name: str, content: Mapping[str, Any], most: int) -> None:
    """Replace the record ``name`` by the last ``most`` items of ``content``."""
    path = cache_dir() / name
    new = path.with_name(f"{name}.{os.getpid()}.part")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        new.write_text(json.dumps(dict(list(content.items())[-most:]), indent=1) + "\n")
        os.replace(new, path)
