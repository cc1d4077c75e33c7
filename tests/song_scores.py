"""Makers of scores for the tests of reports: simple figures, no audio behind them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from stemsplit.evaluation.scores import SongScores, StemMeasures, StemScores

NAN = math.nan


def stem_scores(name: str, sdr: Sequence[float] = (1.0, 2.5, NAN, 11.25), **figures: Any) -> Any:
    """Return scores whose ISR, SIR and SAR are 1, 2 and 3 dB above ``sdr``."""
    frames = np.array(sdr, np.float64)
    return StemScores(
        name=name,
        sdr=frames,
        isr=frames + 1,
        sir=frames + 2,
        sar=frames + 3,
        **{
            "global_sdr": 9.25,
            "si_sdr": 8.5,
            "si_sir": 14.0,
            "si_sar": 9.75,
            "log_wmse": 12.5,
            "l1": 0.0125,
            "mrstft": 1.5,
            "delay": 0,
            "inverted": False,
        }
        | figures,
    )


def stem_measures(name: str, **figures: Any) -> StemMeasures:
    return StemMeasures(
        name=name,
        **{
            "loudness": -18.125,
            "peak": -1.5,
            "true_peak": -1.25,
            "clipped": 0,
            "above_11_khz": -31.25,
            "above_16_khz": -math.inf,
            "joins": 1.5,
            "correlation": {},
            "overlap": {},
        }
        | figures,
    )


def song_scores(*scores: StemScores, song: str = "a song", **fields: Any) -> SongScores:
    return SongScores(
        song=song,
        **{
            "sample_rate": 44_100,
            "frames": 4 * 44_100,
            "window": 1.0,
            "hop": 1.0,
            "scores": scores,
            "measures": (),
            "null_residual": None,
        }
        | fields,
    )
