"""The package in which the community trains SCNet, MDX23C and others, as an oracle.

`demix` says again, in short, what its function of this name does to a song: a test compares both.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

REFERENCE = "msst==0.1.0"


class Settings(dict[str, Any]):
    """A configuration of the package: a dict whose keys are attributes, and so inside."""

    def __getattr__(self, name: str) -> Any:
        try:
            value = self[name]
        except KeyError as exc:
            raise AttributeError(name) from exc
        return Settings(value) if isinstance(value, dict) else value


@contextmanager
def reference_modules(folder: Path, *names: str) -> Iterator[list[Any]]:
    """Give the modules ``names`` of :data:`REFERENCE`, installed into ``folder``.

    Its packages' own modules (training, plots) and what reads its configurations stay away.
    """
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder)]
    subprocess.run([*pip, REFERENCE], check=True, capture_output=True)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("msst", "msst.models", "msst.models.scnet", "msst.utils"):
            package = types.ModuleType(name)
            package.__path__ = [str(folder.joinpath(*name.split(".")))]
            patch.setitem(sys.modules, name, package)
        configurations = types.ModuleType("ml_collections")
        configurations.ConfigDict = Settings  # type: ignore[attr-defined]
        patch.setitem(sys.modules, "ml_collections", configurations)
        yield [importlib.import_module(f"msst.{name}") for name in names]


def share_weights(reference: nn.Module, model: nn.Module) -> None:
    """Give ``model`` the weights of ``reference``, which must have the same names."""
    state = reference.state_dict()
    assert set(state) == set(model.state_dict())
    model.load_state_dict(state)


def demix(network: Callable[[Tensor], Tensor], mix: Tensor, size: int, hop: int) -> Tensor:
    """Return the stems ``(S, C, T)`` of ``mix`` ``(C, T)``; ``network`` gives ``(S, C, size)``.

    As with a batch of 1: the reference decides by batches which segments begin and end a song. Its
    0 / 0, where a fade begins that no other segment covers, is left out.
    """
    length, border, fade = mix.shape[-1], size - hop, size // 10
    reflected = length > 2 * border > 0
    if reflected:
        mix = functional.pad(mix, (border, border), mode="reflect")
    total, norm = torch.zeros(()), torch.zeros(mix.shape[-1])
    for start in range(0, mix.shape[-1], hop):
        part = mix[:, start : start + size]
        valid = part.shape[-1]
        mode = "reflect" if valid > size // 2 else "constant"
        stems = network(functional.pad(part, (0, size - valid), mode=mode))[..., :valid]
        weight = torch.ones(size)
        if start > 0:
            weight[:fade] = torch.linspace(0, 1, fade)
        if start == 0 or start + hop < mix.shape[-1]:
            weight[size - fade :] = torch.linspace(1, 0, fade)
        weight = weight[:valid].clamp(min=1e-9)
        if total.dim() == 0:
            total = torch.zeros(*stems.shape[:-1], mix.shape[-1])
        total[..., start : start + valid] += stems * weight
        norm[start : start + valid] += weight
    stems = total / norm
    return stems[..., border : border + length] if reflected else stems
