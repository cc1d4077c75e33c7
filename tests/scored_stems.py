"""Stems and estimates of them for the tests of metrics: noise, and a pair of stereo stems."""

from __future__ import annotations

from typing import Any

import numpy as np

from stemsplit.evaluation import (
    aura_mrstft,
    aura_stft,
    bleedless,
    fullness,
    global_sdr,
    k_sdr,
    l1,
    l1_freq,
    log_wmse,
    mrstft,
    score,
    si_sar,
    si_sdr,
    si_sir,
)
from stemsplit.evaluation.scores import SongScores

#: All metrics that take tensors and arrays of any batch.
METRICS = (
    *(global_sdr, si_sdr, si_sir, si_sar, log_wmse, l1, mrstft),
    *(l1_freq, aura_stft, aura_mrstft),
)
#: Those besides: limited, or computed in single precision.
ROUNDED_METRICS = (k_sdr, bleedless, fullness)


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    """Return white noise of ``shape``, float64, the same every time."""
    return np.random.default_rng(seed).standard_normal(shape)


RATE = 8_000  # Hz
NAMES = ("vocals", "bass")
REFERENCES = 0.1 * noise(2, 2, 2 * RATE).astype(np.float32)  # (S, C, T)
ESTIMATES = 0.9 * REFERENCES + 0.2 * REFERENCES[::-1]


def in_memory(estimates: Any = ESTIMATES, references: Any = REFERENCES, **options: Any) -> Any:
    """Score the pair of stems as they lie in memory, ``(S, C, T)``."""
    options = {"sample_rate": RATE, "names": NAMES} | options
    return score(estimates, references=references, **options)


def figures(song: SongScores) -> dict[str, Any]:
    """Return some of the scores of each stem, by name."""
    return {stem.name: (stem.global_sdr, stem.si_sdr, stem.sdr.tolist()) for stem in song.scores}
