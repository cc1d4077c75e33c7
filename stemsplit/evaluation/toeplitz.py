"""Solve positive definite block Toeplitz systems in O(n²) instead of O(n³).

The block in row ``i`` and column ``j`` of such a matrix depends only on ``i − j``, so the first row
of blocks defines the matrix. Axes: ``N`` systems, ``L`` rows of blocks, ``M`` rows of a block,
``R`` right-hand sides.
"""

from __future__ import annotations

import torch
from torch import Tensor


def solve(blocks: Tensor, right: Tensor) -> Tensor:
    """Return the solutions ``(N, L, M, R)`` of block Toeplitz systems.

    ``blocks`` ``(N, L, M, M)`` is the first row of blocks of each matrix, ``right``
    ``(N, L, M, R)`` the right-hand sides, both float64. Raises ``torch.linalg.LinAlgError`` if a
    matrix is not positive definite to working precision.
    """
    factor = factorise(blocks)
    # Not ``cholesky_solve``, which would copy the factor.
    half = torch.linalg.solve_triangular(factor.mT, right.flatten(1, 2), upper=False)
    solution: Tensor = torch.linalg.solve_triangular(factor, half, upper=True)
    return solution.view_as(right)


def factorise(blocks: Tensor) -> Tensor:
    """Return the upper Cholesky factors ``(N, L·M, L·M)`` of ``blocks`` ``(N, L, M, M)``.

    Values below the diagonal are undefined.

    Schur's algorithm: the matrix minus a copy shifted by one block is ``upper' upper − lower'
    lower`` for two rows of blocks. A hyperbolic rotation of both in each step preserves this, and
    each ``upper`` is a row of the factor (T. Kailath and A. H. Sayed, "Displacement structure",
    SIAM Review 37, 1995). Raises the same errors as ``solve``.
    """
    batch, length, size, _ = blocks.shape
    rows = blocks.transpose(1, 2).reshape(batch, size, length * size)
    first = torch.linalg.cholesky(blocks[:, 0])
    upper = lower = torch.linalg.solve_triangular(first, rows, upper=False)
    factor = rows.new_empty(batch, length * size, length * size)
    factor[:, :size] = upper
    identity = torch.eye(size, dtype=rows.dtype, device=rows.device)
    for start in range(size, length * size, size):
        upper, lower = upper[..., :-size], lower[..., size:]
        turn = torch.linalg.solve_triangular(
            upper[..., :size], lower[..., :size], upper=True, left=False
        )
        back = turn.mT
        shrink = torch.linalg.cholesky(
            torch.stack([identity - back @ turn, identity - turn @ back])
        )
        stretch = torch.linalg.solve_triangular(shrink, identity.expand_as(shrink), upper=False)
        upper = torch.baddbmm(stretch[0] @ upper, stretch[0] @ back, lower, alpha=-1)
        # Computed from the new upper row: only this form of the rotation is stable.
        mix = stretch[1] @ turn @ shrink[0]
        lower = torch.baddbmm(shrink[1].mT @ lower, mix, upper, alpha=-1)
        factor[:, start : start + size, start:] = upper
    return factor
