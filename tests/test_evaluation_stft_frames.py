"""Frames of a short-time Fourier transform against those of torch."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stemsplit.evaluation.stft_frames import CentredFrames


@settings(max_examples=40, deadline=None)
@given(
    samples=st.integers(1, 300),
    block=st.integers(1, 90),
    hop=st.sampled_from([5, 16, 32]),
    reflect=st.booleans(),
)
def test_frames_are_those_of_torch(samples: int, block: int, hop: int, reflect: bool) -> None:
    size = 64
    signal = torch.randn(2, samples, generator=torch.Generator().manual_seed(samples))
    cutter = CentredFrames(size, hop, reflect=reflect)
    found = [cutter.add(part) for part in signal.split(block, -1)]
    spectra = torch.fft.rfft(torch.cat([*found, cutter.end()], -2))
    if reflect and samples <= size // 2:  # torch refuses to mirror it
        signal = torch.nn.functional.pad(signal, (0, size // 2 + 1))
    mode = "reflect" if reflect else "constant"
    window = torch.ones(size)
    wanted = torch.stft(signal, size, hop, window=window, pad_mode=mode, return_complex=True)
    torch.testing.assert_close(spectra, wanted.mT)


def test_nothing_has_no_frames() -> None:
    with pytest.raises(AssertionError, match="nothing was added"):
        CentredFrames(64, 16).end()
