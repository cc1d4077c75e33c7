"""The terms that a recipe can name."""

from __future__ import annotations

from collections.abc import Mapping

from stemsplit.training.losses.base import Term
from stemsplit.training.losses.clustering import DeepClustering
from stemsplit.training.losses.joint import Activity, Pitch
from stemsplit.training.losses.perceptual import Perceptual
from stemsplit.training.losses.spectra import Magnitude, PhaseSensitive
from stemsplit.training.losses.stft import MultiResolutionSTFT, StftL1, StftRMSE
from stemsplit.training.losses.waveform import L1, L1SNR, MSE, SISDR, SNR

TERMS: Mapping[str, type[Term]] = {
    "l1": L1,
    "mse": MSE,
    "si_sdr": SISDR,
    "snr": SNR,
    "l1_snr": L1SNR,
    "magnitude": Magnitude,
    "phase_sensitive": PhaseSensitive,
    "stft_l1": StftL1,
    "stft_rmse": StftRMSE,
    "multi_resolution_stft": MultiResolutionSTFT,
    "deep_clustering": DeepClustering,
    "perceptual": Perceptual,
    "activity": Activity,
    "pitch": Pitch,
}
