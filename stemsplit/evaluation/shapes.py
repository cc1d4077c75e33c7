"""Arrays and tensors as the metrics take them: one shape, checked, in float64."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Waves: TypeAlias = NDArray[np.floating] | Tensor
#: Samples of a channel that are worked on at a time: what is freed is used again, larger is not.
BLOCK = 1 << 14

Layout = Literal["STC", "SCT"]


def pair(references: Waves, estimates: Waves) -> tuple[Tensor, Tensor]:
    """Return both ``(…, C, T)`` as float64 tensors that keep their gradients.

    Raises ``ValueError`` where the two are not of one shape (other lengths, mono against stereo),
    have fewer than two dimensions, no samples, or a sample that is no finite number.
    """
    truth, guess = _double(references), _double(estimates)
    if truth.shape != guess.shape:
        raise ValueError(
            f"reference {tuple(truth.shape)} and estimate {tuple(guess.shape)} differ in shape"
        )
    if truth.dim() < 2:
        raise ValueError(f"audio of shape {tuple(truth.shape)}: channels and samples are needed")
    if 0 in truth.shape:
        raise ValueError(f"audio of shape {tuple(truth.shape)} has no samples")
    for name, waves in (("reference", truth), ("estimate", guess)):
        if not math.isfinite(waves.detach().sum()):  # one bad sample spoils the sum
            raise ValueError(
                f"the {name} has samples that are not finite numbers (NaN or infinity)"
            )
    return truth, guess


def sources_of(references: Waves, estimates: Waves) -> tuple[Tensor, Tensor]:
    """Return both ``(…, S, C, T)`` as ``pair`` does; ``ValueError`` without sources as well."""
    truth, guess = pair(references, estimates)
    if truth.dim() < 3:
        raise ValueError(f"audio of shape {tuple(truth.shape)}: sources are needed as well")
    return truth, guess


def arrange(references: Waves, estimates: Waves, layout: Layout) -> tuple[Tensor, Tensor]:
    """Return both ``(…, S, C, T)`` as ``pair`` does, whichever ``layout`` they come in."""
    if layout not in ("STC", "SCT"):
        raise ValueError(f"layout {layout!r} is neither 'STC' nor 'SCT'")
    truth, guess = sources_of(references, estimates)
    return (truth, guess) if layout == "SCT" else (truth.mT, guess.mT)


def _double(waves: Waves) -> Tensor:
    if isinstance(waves, Tensor):
        return waves.double()
    # Copied only where it is not what a tensor can stand on.
    return torch.from_numpy(np.require(waves, np.float64, ["C", "W"]))


def blocks(*waves: Tensor, size: int = BLOCK) -> Iterator[tuple[Tensor, ...]]:
    """Yield all ``waves`` ``(…, T)`` in pieces of ``size`` samples, the same of each at a time."""
    return zip(*(torch.split(wave, size, -1) for wave in waves), strict=True)


def answer(value: Tensor, *asked: Waves) -> float | NDArray[np.float64] | Tensor:
    """Return ``value`` as what was asked with: a tensor for tensors, else a number or an array."""
    if any(isinstance(waves, Tensor) for waves in asked):
        return value
    return float(value) if value.dim() == 0 else np.asarray(value.numpy())
