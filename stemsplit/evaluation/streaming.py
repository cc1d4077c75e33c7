"""Compute all metrics with one value per stem together, over blocks of any length."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stemsplit.evaluation.metrics import (
    Parts,
    Sums,
    global_sdr_of,
    k_sdr_of,
    l1_of,
    si_sar_of,
    si_sdr_of,
    si_sir_of,
)
from stemsplit.evaluation.shapes import Signals, check_pair, check_sources
from stemsplit.evaluation.spectral_scores import L1Freq
from stemsplit.evaluation.stft_distance import AuraMrStft, AuraStft, StftDistance
from stemsplit.evaluation.weighted_error import LogWmse


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalars:
    """One value per stem, each ``(S,)``, as returned by the functions of the same names."""

    global_sdr: NDArray[np.float64]
    si_sdr: NDArray[np.float64]
    si_sir: NDArray[np.float64]
    si_sar: NDArray[np.float64]
    log_wmse: NDArray[np.float64]
    l1: NDArray[np.float64]
    mrstft: NDArray[np.float64]
    k_sdr: NDArray[np.float64]
    l1_freq: NDArray[np.float64]
    aura_stft: NDArray[np.float64]
    aura_mrstft: NDArray[np.float64]


class ScalarScores:
    """``Scalars`` of stems in blocks of any length, in bounded memory."""

    def __init__(self, sample_rate: int = 44_100) -> None:
        self._sums: Sums | None = None
        self._log_wmse = LogWmse(sample_rate)
        self._spectral: dict[str, StftDistance | L1Freq | AuraStft | AuraMrStft] = {
            "mrstft": StftDistance(),
            "l1_freq": L1Freq(),
            "aura_stft": AuraStft(),
            "aura_mrstft": AuraMrStft(sample_rate),
        }

    def add(self, references: Signals, estimates: Signals, mixture: Signals | None = None) -> None:
        """Take the next block of stems ``(S, C, T)`` and their ``mixture`` ``(C, T)``.

        Without a mixture, the sum of the references is used. Raises ``ValueError`` as
        ``global_sdr`` does.
        """
        truth, guess = (signals.detach() for signals in check_sources(references, estimates))
        mix: Tensor = truth.sum(-3) if mixture is None else check_pair(mixture, mixture)[0]
        sums = Sums.of(truth, guess)
        self._sums = sums if self._sums is None else self._sums + sums
        self._log_wmse.add(truth, guess, mix)
        single = truth.float(), guess.float()
        for score in self._spectral.values():
            score.add(*single)

    def result(self) -> Scalars:
        """Return the scores of all blocks; ``ValueError`` before the first."""
        if self._sums is None:
            raise ValueError("no audio to score")
        parts = Parts.of(self._sums)
        with torch.no_grad():
            return Scalars(
                global_sdr=global_sdr_of(self._sums).numpy(),
                si_sdr=si_sdr_of(parts).numpy(),
                si_sir=si_sir_of(parts).numpy(),
                si_sar=si_sar_of(parts).numpy(),
                log_wmse=self._log_wmse.result().numpy(),
                l1=l1_of(self._sums).numpy(),
                k_sdr=k_sdr_of(self._sums).numpy(),
                **{name: score.result().numpy() for name, score in self._spectral.items()},
            )
