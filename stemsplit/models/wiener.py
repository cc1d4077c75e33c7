"""The multichannel Wiener filter that Open-Unmix and others apply to their magnitudes.

Each source is a Gaussian with a power that changes over time and a fixed position between the
channels; expectation maximisation estimates both from magnitudes, and from these the most probable
parts of the mixture: the stems. N. Q. K. Duong, E. Vincent, R. Gribonval, "Under-determined
reverberant audio source separation using a full-rank spatial covariance model", TASLP 2010, in the
simplified form of A. Nugraha, A. Liutkus, E. Vincent, "Multichannel music separation with deep
neural networks", EUSIPCO 2016; the constants are those of Open-Unmix (F.-R. Stöter et al.,
JOSS 2019).

Axes: ``B`` batch, ``S`` sources, ``C`` channels, ``F`` bins, ``N`` frames.
"""

from __future__ import annotations

import torch
from torch import Tensor

#: Frames per filter: 7 s at Open-Unmix's hop. A source may move after that.
EXCERPT = 300
#: The mixture is scaled so that no bin exceeds this, before anything is squared.
LARGEST = 10.0
#: Prevents division by 0, of powers and, by its root, of covariances.
EPSILON = 1e-10
#: Values of the estimates processed at a time: 2^16 of 16 bytes are 1 MiB, a core's cache.
BLOCK_VALUES = 2**16


def wiener(
    magnitudes: Tensor,
    mixture: Tensor,
    *,
    iterations: int = 1,
    residual: bool = False,
) -> Tensor:
    """Return the complex sources ``(B, S, C, F, N)`` of ``mixture`` ``(B, C, F, N)``, complex64.

    ``magnitudes`` ``(B, S, C, F, N)`` are initial estimates, combined with the mixture's phase;
    ``iterations`` of expectation maximisation refine them, separately for every `EXCERPT` frames.
    With ``residual``, one more source follows: the mixture minus the others. Where the mixture is
    0, so are all sources. Raises ``ValueError`` for more than 2 channels, for which this has no
    closed form.
    """
    if mixture.device.type == "mps":  # no double precision
        separated = wiener(
            magnitudes.cpu(), mixture.cpu(), iterations=iterations, residual=residual
        )
        return separated.to(mixture.device)
    batch, sources, channels, bins, frames = magnitudes.shape
    if channels > 2:
        raise ValueError(f"a Wiener filter is for 1 or 2 channels, not {channels}")
    shape = (batch, sources + residual, channels, bins, frames)
    separated = torch.empty(shape, dtype=torch.complex64, device=mixture.device)
    # Bins are independent, except for the level of the excerpt.
    height = max(1, BLOCK_VALUES // (batch * shape[1] * channels * min(EXCERPT, frames)))
    for start in range(0, frames, EXCERPT):
        level = mixture[..., start : start + EXCERPT].abs().amax((1, 2, 3), keepdim=True) / LARGEST
        scale = level.clamp(min=1.0).double()
        for low in range(0, bins, height):
            place = (..., slice(low, low + height), slice(start, start + EXCERPT))
            x = mixture[place] / scale
            y = torch.sgn(x)[:, None] * (magnitudes[place].double() / scale[:, None])
            if residual:
                y = torch.cat([y, (x - y.sum(1))[:, None]], dim=1)
            for _ in range(iterations):
                y = _refine(y, x)
            separated[place] = (y * scale[:, None]).to(torch.complex64)
    return separated


def _refine(y: Tensor, x: Tensor) -> Tensor:
    """Return better estimates ``(B, S, C, F, N)`` of the sources of ``x`` ``(B, C, F, N)``.

    Both in double precision: if both channels are identical, covariances are singular up to 1e-7.
    """
    energy = y.real.square() + y.imag.square()
    power = energy.mean(2)  # (B, S, F, N)
    weight = power.sum(-1) + EPSILON
    auto = energy.sum(-1) / weight[:, :, None]  # (B, S, C, F): the diagonals of the covariances
    regularised = _mix(auto, power) + EPSILON**0.5
    if x.shape[1] == 1:
        share: Tensor = power[:, :, None] * auto[..., None] / regularised[:, None]
        return share * x[:, None]
    cross = (y[:, :, 0] * y[:, :, 1].conj()).sum(-1) / weight  # (B, S, F)
    mixed_cross = torch.complex(
        *(_mix(part[:, :, None], power)[:, 0] for part in (cross.real, cross.imag))
    )
    left, right = _solve(regularised, mixed_cross, x)
    cross = cross[..., None]
    return power[:, :, None] * torch.stack(
        [
            auto[:, :, 0, :, None] * left + cross * right,
            cross.conj() * left + auto[:, :, 1, :, None] * right,
        ],
        dim=2,
    )


def _mix(covariance: Tensor, power: Tensor) -> Tensor:
    """Return ``(B, C, F, N)``: the sum over sources of ``(B, S, C, F)`` times ``(B, S, F, N)``."""
    return torch.einsum("bscf,bsfn->bcfn", covariance, power)


def _solve(auto: Tensor, cross: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return both channels ``(B, 1, F, N)`` of ``x`` times the inverse of its covariance.

    The covariance is Hermitian: ``auto`` ``(B, 2, F, N)`` and real on its diagonal, ``cross``
    ``(B, F, N)`` above it.
    """
    determinant = auto[:, 0] * auto[:, 1] - (cross.real.square() + cross.imag.square())
    left = (auto[:, 1] * x[:, 0] - cross * x[:, 1]) / determinant
    right = (auto[:, 0] * x[:, 1] - cross.conj() * x[:, 0]) / determinant
    return left[:, None], right[:, None]
