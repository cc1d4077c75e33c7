"""The package openunmix: the reference for Open-Unmix and its Wiener filter."""

from __future__ import annotations

import functools
import importlib
import subprocess
import sys
import tempfile
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

REFERENCE = "openunmix==1.3.0"


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """Return a folder with the package in it; it is gone when the tests end."""
    folder = tempfile.TemporaryDirectory()
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder.name]
    subprocess.run([*pip, REFERENCE], check=True, capture_output=True)
    return folder


@contextmanager
def reference_package() -> Iterator[Any]:
    """Give the package, with its modules ``filtering`` and ``model``.

    It imports torchaudio, to resample what is at another rate: an empty module stands in for it.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(_folder().name)
        patch.setitem(sys.modules, "torchaudio", types.ModuleType("torchaudio"))
        package = importlib.import_module("openunmix")
        for name in ("filtering", "model"):
            importlib.import_module(f"openunmix.{name}")
        yield package
