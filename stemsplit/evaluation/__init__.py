"""Score stems against references, and measure them without.

The functions are imported when first used, so that ``import stemsplit.evaluation`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stemsplit.evaluation.bss_eval import BssEval, BssEvalScores, bss_eval_v3, bss_eval_v4
    from stemsplit.evaluation.metrics import (
        Projections,
        global_sdr,
        k_sdr,
        l1,
        projections,
        si_sar,
        si_sdr,
        si_sir,
    )
    from stemsplit.evaluation.scoring import score, score_batch
    from stemsplit.evaluation.spectral_scores import bleedless, fullness, l1_freq
    from stemsplit.evaluation.stft_distance import aura_mrstft, aura_stft, mrstft
    from stemsplit.evaluation.streaming import Scalars, ScalarScores
    from stemsplit.evaluation.weighted_error import log_wmse

__all__ = [
    "BssEval",
    "BssEvalScores",
    "Projections",
    "ScalarScores",
    "Scalars",
    "aura_mrstft",
    "aura_stft",
    "bleedless",
    "bss_eval_v3",
    "bss_eval_v4",
    "fullness",
    "global_sdr",
    "k_sdr",
    "l1",
    "l1_freq",
    "log_wmse",
    "mrstft",
    "projections",
    "score",
    "score_batch",
    "si_sar",
    "si_sdr",
    "si_sir",
]

_MODULES = {
    "bss_eval": ("BssEval", "BssEvalScores", "bss_eval_v3", "bss_eval_v4"),
    "weighted_error": ("log_wmse",),
    "metrics": (
        *("Projections", "global_sdr", "k_sdr", "l1", "projections"),
        *("si_sar", "si_sdr", "si_sir"),
    ),
    "scoring": ("score", "score_batch"),
    "spectral_scores": ("bleedless", "fullness", "l1_freq"),
    "stft_distance": ("aura_mrstft", "aura_stft", "mrstft"),
    "streaming": ("ScalarScores", "Scalars"),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
