"""The multichannel Wiener filter that Open-Unmix and others apply to their magnitudes.

Each source is a Gaussian with a power that changes over time and a fixed position between the
channels; expectation maximisation estimates both from magnitudes, and from these the most probable
parts of the mixture: the stems. N. Q. K. Duong, E. Vincent, R. Gribonval, "Under-determined
reverberant audio source separation using a full-rank spatial covariance model", TASLP 2010, in the
simplified form of A. Nugraha, A. Liutkus, E. Vincent, "Multichannel music separation with deep
neural networks", EUSIPCO 2016; the constants are those of Open-Unmix (F.-R. Stöter et al.,
JOSS 2019).

Everything is computed in the order in which the STFT has it in memory, frame by frame, so that
nothing has to be transposed.

Axes: ``B`` batch, ``S`` sources, ``C`` channels, ``F`` bins, ``N`` frames, ``n`` frames of a block.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from stemsplit.models.pieces import spans
from stemsplit.models.spectrograms import magnitudes as magnitudes_of

#: Frames per filter: 7 s at Open-Unmix's hop. A source may move after that.
EXCERPT = 300
#: The mixture is scaled so that no bin exceeds this, before anything is squared.
LARGEST = 10.0
#: Prevents division by 0, of powers and, by its root, of covariances.
EPSILON = 1e-10
#: Below this, a value of the mixture has no phase: its square is 0 in single precision.
SILENCE = 1e-18
#: Values of the estimates processed at a time: 1 MiB of complex64. Fewer take longer, as every
#: block takes dozens of operations.
BLOCK_VALUES = 2**17


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
    separated = torch.empty(shape, dtype=torch.complex64, device=mixture.device)
    with torch.autocast(mixture.device.type, enabled=False):
        for start in range(0, frames, EXCERPT):
            place = (..., slice(start, start + EXCERPT), slice(None))
            whole, estimates, x = separated[place], magnitudes.mT[place], mixture.mT[place]
            for item in range(batch):
                _filter(whole[item], estimates[item], x[item], iterations)
    return separated.mT


def _filter(separated: Tensor, magnitudes: Tensor, mixture: Tensor, iterations: int) -> None:
    """Write the sources of an excerpt into ``separated`` ``(S, C, N, F)``.

    ``magnitudes`` are ``(S, C, N, F)``, without the residual, and ``mixture`` is ``(C, N, F)``.
    """
    blocks = [slice(start, end) for start, end in spans(separated, BLOCK_VALUES)]
    residual = len(separated) > len(magnitudes)

    def first(block: slice) -> Tensor:
        return _estimate(magnitudes[:, :, block], mixture[:, block], residual=residual)

    def latest(block: slice) -> Tensor:
        return separated[:, :, block]

    if iterations == 0:
        for block in blocks:
            separated[:, :, block] = first(block)
        return
    level = magnitudes_of(mixture).amax() / LARGEST
    scale = level.clamp(min=1.0)
    for iteration in range(iterations):
        powers, covariances = _measure(latest if iteration else first, blocks, scale)
        for block, power in zip(blocks, powers, strict=True):
            _separate(separated[:, :, block], power, covariances, mixture[:, block])


def _estimate(magnitudes: Tensor, x: Tensor, *, residual: bool) -> Tensor:
    """Return ``magnitudes`` ``(S, C, n, F)`` in the phase of ``x`` ``(C, n, F)``.

    With ``residual``, one more source is the rest of ``x``.
    """
    level = magnitudes_of(x)
    if residual:
        magnitudes = torch.cat([magnitudes, (level - magnitudes.sum(0))[None]])
    return magnitudes * (x / level.clamp(min=SILENCE))


def _measure(
    estimates: Callable[[slice], Tensor], blocks: list[slice], scale: Tensor
) -> tuple[list[Tensor], Tensor]:
    """Return powers and covariances of ``estimates`` ``(S, C, n, F)``, divided by ``scale``.

    Powers ``(S, n, F)`` fp32, of each block, are averages over channels. Covariances between the
    channels, of power 1, are ``(K, S, 1, F)`` in double precision: the variance of each channel
    and, of two, the real and the imaginary part of what they have in common.
    """
    weight = scale.double() ** -2
    powers: list[Tensor] = []
    sums: list[Tensor] = []
    for block in blocks:
        y = estimates(block)
        real, imaginary = y.real.double().unbind(1), y.imag.double().unbind(1)
        products = [a.square().addcmul_(b, b) for a, b in zip(real, imaginary, strict=True)]
        mean = products[0] if len(products) == 1 else (products[0] + products[1]) / 2
        powers.append((mean * weight).float())
        if len(products) == 2:
            products.append((real[0] * real[1]).addcmul_(imaginary[0], imaginary[1]))
            products.append((imaginary[0] * real[1]).addcmul_(real[0], imaginary[1], value=-1))
        totals = [product.sum(1, keepdim=True) for product in products]
        sums = [a + b for a, b in zip(sums, totals, strict=True)] if sums else totals
    whole = torch.stack(sums) * weight
    return powers, whole / (whole[: len(real)].mean(0) + EPSILON)


def _separate(separated: Tensor, power: Tensor, covariances: Tensor, x: Tensor) -> None:
    """Write the sources of ``x`` ``(C, n, F)`` into ``separated`` ``(S, C, n, F)``.

    In every bin, a source s has a covariance R_s between the channels and, in every frame, a power
    p_s. The filter is p_s R_s times the inverse of V, the sum of p_t R_t and a little noise. That
    takes double precision: V is nearly singular where both channels are nearly the same.
    """
    sizes = power.double()
    whole = covariances[:, 0] * sizes[0]
    for covariance, size in zip(covariances.unbind(1)[1:], sizes[1:], strict=True):
        whole = whole.addcmul_(covariance, size)
    noise = EPSILON**0.5
    if len(x) == 1:
        separated.copy_(covariances[0, :, None] * (x / (whole + noise)))
    else:
        left, right = whole[0] + noise, whole[1] + noise
        cross = torch.complex(whole[2], whole[3])
        determinant = left * right - whole[2].square() - whole[3].square()
        one, two = (x * determinant.reciprocal()).unbind()  # adj V x / det V is V^-1 x
        one, two = right * one - cross * two, left * two - cross.conj() * one
        variances = covariances[:2].to(cross.dtype)
        cross = torch.complex(covariances[2], covariances[3])
        separated[:, 0] = (variances[0] * one).addcmul_(cross, two)
        separated[:, 1] = (variances[1] * two).addcmul_(cross.conj(), one)
    separated *= power[:, None]
