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
#: Below this, a value of the mixture has no phase: its square is 0 in single precision.
SILENCE = 1e-18
#: Values of the estimates processed at a time: 2 MiB of fp32. Fewer take longer, as every block
#: takes dozens of operations.
BLOCK_VALUES = 2**19


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
    0, so are all sources. In memory, the bins of a frame are next to each other, as the STFT has
    them. Raises ``ValueError`` for more than 2 channels, for which this has no closed form.
    """
    if mixture.device.type == "mps":  # no double precision
        separated = wiener(
            magnitudes.cpu(), mixture.cpu(), iterations=iterations, residual=residual
        )
        return separated.to(mixture.device)
    batch, sources, channels, bins, frames = magnitudes.shape
    if channels > 2:
        raise ValueError(f"a Wiener filter is for 1 or 2 channels, not {channels}")
    shape = (batch, sources + residual, channels, frames, bins)
    separated = torch.empty(shape, dtype=torch.complex64, device=mixture.device).mT
    for start in range(0, frames, EXCERPT):
        excerpt = (..., slice(start, start + EXCERPT))
        with torch.autocast(mixture.device.type, enabled=False):
            _filter(separated[excerpt], magnitudes[excerpt], mixture[excerpt], iterations)
    return separated


def _filter(separated: Tensor, magnitudes: Tensor, mixture: Tensor, iterations: int) -> None:
    """Write the sources of an excerpt into ``separated``: see `wiener`, also for the axes."""
    batch, sources, channels, bins, frames = separated.shape
    energy = mixture.real.square() + mixture.imag.square()
    level = energy.amax((1, 2, 3)).sqrt() / LARGEST
    scale = level.clamp(min=1.0).view(-1, 1, 1, 1, 1)
    # Bins are independent, except for the level.
    height = max(1, BLOCK_VALUES // (2 * batch * sources * channels * frames))
    for low in range(0, bins, height):
        place = (..., slice(low, low + height), slice(None))
        x = _as_parts(mixture[place][:, None]).contiguous() / scale[..., None]
        m = magnitudes[place].permute(0, 3, 1, 2, 4) / scale
        y = _estimate(m, x, residual=sources > m.shape[2])
        for _ in range(iterations):
            y = _refine(y, x)
        y = y * scale[..., None]
        separated[place] = torch.complex(y[..., 0, :], y[..., 1, :]).permute(0, 2, 3, 1, 4)


def _as_parts(spectrum: Tensor) -> Tensor:
    """Return a view ``(B, F, S, C, 2, N)`` of the parts of ``spectrum`` ``(B, S, C, F, N)``."""
    return torch.view_as_real(spectrum).permute(0, 3, 1, 2, 5, 4)


def _estimate(magnitudes: Tensor, x: Tensor, *, residual: bool) -> Tensor:
    """Return parts ``(B, F, S, C, 2, N)`` of ``magnitudes`` (B, F, S, C, N) in the phase of ``x``.

    With ``residual``, the last source is the rest of ``x`` ``(B, F, 1, C, 2, N)``.
    """
    real, imaginary = x.unbind(-2)
    level = (real.square() + imaginary.square()).sqrt()
    if residual:
        rest = level - magnitudes.sum(2, keepdim=True)
        magnitudes = torch.cat([magnitudes, rest], dim=2)
    return magnitudes[..., None, :] * (x / level.clamp(min=SILENCE)[..., None, :])


def _refine(y: Tensor, x: Tensor) -> Tensor:
    """Return better estimates ``(B, F, S, C, 2, N)``, in parts, of the sources of ``x``, with S=1.

    In every bin, a source s has a covariance R_s between the channels and, in every frame, a power
    p_s. The filter is p_s R_s times the inverse of V, the sum of p_t R_t and a little noise, and
    that inverse is adj V / det V. As there are two channels, both are sums over sources, too: adj V
    of p_t adj R_t, det V of p_s p_t tr(R_s adj R_t) / 2, where no term is negative. So only the
    covariances and their products need double precision: V itself, in single precision, would be
    singular where both channels are identical.
    """
    power = y.flatten(3, 4).square().sum(3) / y.shape[3]  # (B, F, S, N)
    place = _covariances(y)
    if x.shape[3] == 1:
        variance = power * place[..., 0].real.float()
        share: Tensor = variance / (variance.sum(2, keepdim=True) + EPSILON**0.5)
        return share[..., None, None, :] * x
    products, traces = _products(place)
    # The last one is that of the noise.
    powers = torch.cat([power, torch.ones_like(power[:, :, :1])], dim=2)
    determinant = (power * (traces @ powers)).sum(2, keepdim=True) + EPSILON
    mixed = (powers[..., None, None, :] * x).flatten(2, 4)
    filtered = (products @ mixed).view(y.shape)
    return filtered * (power / determinant)[..., None, None, :]


def _covariances(y: Tensor) -> Tensor:
    """Return those of ``y`` ``(B, F, S, C, 2, N)``, of power 1: ``(B, F, S, C, C)`` complex128."""
    channels = y.shape[3]
    parts = y.flatten(3, 4).double()
    sums = (parts @ parts.mT).view(*y.shape[:5], channels, 2)  # of parts times parts
    real = sums[..., 0, :, 0] + sums[..., 1, :, 1]
    imaginary = sums[..., 1, :, 0] - sums[..., 0, :, 1]
    power = real.diagonal(dim1=-2, dim2=-1).mean(-1) + EPSILON
    return torch.complex(real, imaginary) / power[..., None, None]


def _products(place: Tensor) -> tuple[Tensor, Tensor]:
    """Return, of covariances (B, F, S, 2, 2), products with the adjugates of all, and their traces.

    The last adjugate is that of the noise. Products are matrices ``(B, F, 4 S, 4 (S + 1))`` for
    parts, fp32; traces are ``(B, F, S, S + 1)``, those with sources halved.
    """
    left, right, cross = place[..., 0, 0], place[..., 1, 1], place[..., 0, 1]
    adjugates = torch.stack([right, -cross, -cross.conj(), left], dim=-1).view(place.shape)
    noise = EPSILON**0.5 * torch.eye(2, dtype=place.dtype, device=place.device)
    adjugates = torch.cat([adjugates, noise.expand_as(adjugates[:, :, :1])], dim=2)
    products = torch.einsum("bfsij,bftjk->bfsitk", place, adjugates)
    traces = products.diagonal(dim1=-3, dim2=-1).sum(-1).real.clamp(min=0)  # (B, F, S, S + 1)
    traces[..., :-1] /= 2
    real, imaginary = products.real, products.imag
    parts = torch.stack([real, -imaginary, imaginary, real], dim=-1)
    matrix = parts.view(*parts.shape[:-1], 2, 2).movedim(-2, 4)  # (B, F, S, 2, 2, S + 1, 2, 2)
    return matrix.flatten(5, 7).flatten(2, 4).float(), traces.float()
