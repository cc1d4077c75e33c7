"""Block Toeplitz systems against the full matrix."""

from __future__ import annotations

import pytest
import torch
from scored_stems import noise

from stemsplit.evaluation.correlations import Correlations
from stemsplit.evaluation.toeplitz import factorise, solve


@pytest.mark.parametrize("size", [1, 3])
def test_block_toeplitz_systems_are_solved(size: int) -> None:
    correlations = Correlations(size, size, 6)
    correlations.add(torch.from_numpy(noise(size, 50)))
    column = correlations.result()
    rows = [
        torch.cat([column[i - j] if i >= j else column[j - i].mT for j in range(6)], 1)
        for i in range(6)
    ]
    matrix, right = torch.cat(rows), torch.from_numpy(noise(1, 6, size, 2))
    solution, factor = solve(column.mT[None], right), factorise(column.mT[None]).triu()
    torch.testing.assert_close(matrix @ solution.flatten(1, 2)[0], right.flatten(1, 2)[0])
    torch.testing.assert_close(factor[0].mT @ factor[0], matrix)
