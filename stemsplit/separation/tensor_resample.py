"""Resamples whole tensors, for the Python interface. Files are resampled by ffmpeg."""

from __future__ import annotations

import warnings
from math import gcd
from types import ModuleType

import torch
from torch import Tensor

from stemsplit.audio.resample import resample

#: torchaudio keeps a filter for each phase of the ratio of two rates: 147 or 160 in common cases,
#: but if the rates have no common divisor, as many as the rate in Hz, which takes gigabytes.
MOST_PHASES = 2_000


def resample_tensor(audio: Tensor, from_rate: int, to_rate: int) -> Tensor:
    """Return ``audio`` ``(C, T)`` at ``to_rate`` Hz instead of ``from_rate``, on its device.

    Uses torchaudio if it works, since it stays on the device; otherwise, and for unusual ratios of
    the rates, ffmpeg's soxr. The result has about ``T * to_rate / from_rate`` frames.
    """
    if from_rate == to_rate:
        return audio
    simple = max(from_rate, to_rate) // gcd(from_rate, to_rate) <= MOST_PHASES
    if simple and (functional := _torchaudio_functional()) is not None:
        resampled: Tensor = functional.resample(
            audio,
            from_rate,
            to_rate,
            # A long Kaiser window: torchaudio's default lets aliases pass at -9 dB.
            lowpass_filter_width=64,
            rolloff=0.9475937167399596,
            resampling_method="sinc_interp_kaiser",
            beta=14.769656459379492,
        )
        return resampled
    blocks = [audio.cpu().numpy()]
    done = resample(blocks, channels=len(audio), from_rate=from_rate, to_rate=to_rate)
    nothing = torch.empty(len(audio), 0)  # a few samples at a far higher rate result in none
    return torch.cat([nothing, *map(torch.from_numpy, done)], -1).to(audio.device)


def import_torchaudio() -> ModuleType:
    """Return ``torchaudio.functional``; raises ``ImportError`` or ``OSError`` if it is unusable.

    Its published builds fail with a CPU build of torch, because they need CUDA's libraries.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torchaudio.functional

        functional: ModuleType = torchaudio.functional
        return functional


def _torchaudio_functional() -> ModuleType | None:
    try:
        return import_torchaudio()
    except (ImportError, OSError):
        return None
