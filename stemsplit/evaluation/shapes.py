"""Check the shapes of references and estimates, and convert them to tensors of float64."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from typing import Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Signals: TypeAlias = NDArray[np.floating] | Tensor
#: Samples of a channel to process at a time: freed memory is reused up to this size.
BLOCK = 1 << 14

#: The order of axes that a deprecated keyword names.
Layout = Literal["STC", "SCT"]
#: The most channels of audio: a longer axis must be that of the samples.
MOST_CHANNELS = 32


def check_pair(references: Signals, estimates: Signals) -> tuple[Tensor, Tensor]:
    """Return both ``(…, C, T)`` as float64 tensors that keep their gradients.

    Raises ``ValueError`` if the two differ in shape (different lengths, or mono and stereo), have
    fewer than two dimensions, samples before channels, no samples, or a NaN or infinite sample.
    """
    truth, guess = _as_double(references), _as_double(estimates)
    if truth.shape != guess.shape:
        raise ValueError(
            f"reference {tuple(truth.shape)} and estimate {tuple(guess.shape)} differ in shape"
        )
    if truth.dim() < 2:
        raise ValueError(f"audio of shape {tuple(truth.shape)}: expected channels and samples")
    if 0 in truth.shape:
        raise ValueError(f"audio of shape {tuple(truth.shape)} has no samples")
    check_order("audio", truth.shape)
    for name, signals in (("reference", truth), ("estimate", guess)):
        if not math.isfinite(signals.detach().sum()):  # a single bad sample makes the sum NaN
            raise ValueError(
                f"the {name} has samples that are not finite numbers (NaN or infinity)"
            )
    return truth, guess


def check_sources(references: Signals, estimates: Signals) -> tuple[Tensor, Tensor]:
    """Return both ``(…, S, C, T)`` as ``check_pair``; ``ValueError`` also without sources."""
    truth, guess = check_pair(references, estimates)
    if truth.dim() < 3:
        raise ValueError(f"audio of shape {tuple(truth.shape)}: expected sources as well")
    return truth, guess


def check_order(what: str, shape: Sequence[int]) -> None:
    """Raise ``ValueError`` if ``shape`` has samples before channels, ``(…, T, C)``."""
    if shape[-1] <= MOST_CHANNELS < shape[-2]:
        raise ValueError(
            f"{what} of shape {tuple(shape)} seems to have samples before channels: "
            "swap its last two axes, expected (…, C, T)"
        )


def arrange(
    references: Signals, estimates: Signals, layout: Layout | None
) -> tuple[Tensor, Tensor]:
    """Return both as ``(…, S, C, T)``, checked; see ``swaps_axes`` for ``layout``."""
    if swaps_axes(layout):
        references, estimates = references.swapaxes(-1, -2), estimates.swapaxes(-1, -2)
    return check_sources(references, estimates)


def swaps_axes(layout: Layout | None) -> bool:
    """Return whether arrays have samples before channels: with the ``layout`` "STC".

    Warns the caller two levels up that version 0.2 removes the keyword. Raises ``ValueError`` for
    an unknown layout.
    """
    if layout is None:
        return False
    if layout not in ("STC", "SCT"):
        raise ValueError(f"layout {layout!r} is neither 'STC' nor 'SCT'")
    warnings.warn(
        "the keyword layout will be removed in stemsplit 0.2: arrays are (S, C, T), in this order",
        DeprecationWarning,
        stacklevel=4,
    )
    return layout == "STC"


def _as_double(signals: Signals) -> Tensor:
    if isinstance(signals, Tensor):
        return signals.double()
    # Copied only where a tensor cannot share the memory.
    return torch.from_numpy(np.require(signals, np.float64, ["C", "W"]))


def blocks(*signals: Tensor, size: int = BLOCK) -> Iterator[tuple[Tensor, ...]]:
    """Yield all ``signals`` ``(…, T)`` in blocks of ``size`` samples, in step."""
    return zip(*(torch.split(signal, size, -1) for signal in signals), strict=True)


def match_type(value: Tensor, *inputs: Signals) -> float | NDArray[np.float64] | Tensor:
    """Return ``value`` as a tensor if one of ``inputs`` is one, else as a number or an array."""
    if any(isinstance(signals, Tensor) for signals in inputs):
        return value
    return float(value) if value.dim() == 0 else np.asarray(value.numpy())
