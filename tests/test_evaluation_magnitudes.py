"""What numpy computes on a CPU is what torch computes for tensors that carry gradients."""

from __future__ import annotations

import pytest
import torch
from scored_stems import noise

from stemsplit.evaluation.magnitudes import compare, logarithms, magnitudes
from stemsplit.evaluation.mel import MelFilters

FRAMES = torch.from_numpy(noise(2, 3, 5, 64))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_both_ways_agree(dtype: torch.dtype) -> None:
    plain = FRAMES.to(dtype)
    tracked = plain.clone().requires_grad_()
    found, wanted = (magnitudes(frames, 0.5) for frames in (plain, tracked))
    assert found.min() == 0.5 and wanted.requires_grad and not found.requires_grad
    torch.testing.assert_close(found, wanted.detach())
    torch.testing.assert_close(logarithms(found), logarithms(wanted).detach())
    mel = MelFilters(8_000, 64, 16)
    torch.testing.assert_close(mel(found), mel(wanted).detach())
    sums = compare(*found)
    torch.testing.assert_close(sums, compare(*wanted).detach())
    assert sums.shape == (4, 3) and sums.dtype == torch.float64


def test_sums_of_known_magnitudes() -> None:
    truth, guess = torch.tensor([[[1.0, 2.0]]]), torch.tensor([[[torch.e, 2.0]]])
    sums = compare(truth, guess)[:, 0].tolist()
    assert sums == pytest.approx([5.0, torch.e**2 + 4, (torch.e - 1) ** 2, 1.0])
    assert compare(truth, truth)[2:].tolist() == [[0.0], [0.0]]
