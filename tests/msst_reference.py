"""SCNet and MDX23C of the package in which the community trains them, as oracles."""

from __future__ import annotations

import importlib
import subprocess
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from torch import nn

REFERENCE = "msst==0.1.0"


@contextmanager
def reference_modules(folder: Path, *names: str) -> Iterator[list[Any]]:
    """Give the modules ``names`` of :data:`REFERENCE`, installed into ``folder``.

    The package itself and what it imports (training, plots) stay away: its folders alone make it
    up, and one function of its utilities is replaced.
    """
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder)]
    subprocess.run([*pip, REFERENCE], check=True, capture_output=True)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("msst", "msst.models", "msst.models.scnet"):
            package = types.ModuleType(name)
            package.__path__ = [str(folder.joinpath(*name.split(".")))]
            patch.setitem(sys.modules, name, package)
        utilities = types.ModuleType("msst.utils.model_utils")
        utilities.prefer_target_instrument = lambda config: config.training.instruments  # type: ignore[attr-defined]
        patch.setitem(sys.modules, "msst.utils.model_utils", utilities)
        patch.setitem(sys.modules, "msst.utils", types.ModuleType("msst.utils"))
        yield [importlib.import_module(f"msst.models.{name}") for name in names]


def share_weights(reference: nn.Module, model: nn.Module) -> None:
    """Give ``model`` the weights of ``reference``, which must have the same names."""
    state = reference.state_dict()
    assert set(state) == set(model.state_dict())
    model.load_state_dict(state)
