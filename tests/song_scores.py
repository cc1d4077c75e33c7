"""Make scores for the tests of reports: simple figures, with or without files of audio."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from audio_files import Samples

from stemsplit.data.stems import StemFiles
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


def stored_song(
    folder: Path,
    estimates: Mapping[str, Samples],
    references: Mapping[str, Samples],
    *,
    rate: int = 8_000,
) -> SongScores:
    """Write stems ``(C, T)`` into ``folder``, as "e NAME.wav" and "r NAME.wav"."""

    def store(path: Path, samples: Samples) -> StemFiles:
        soundfile.write(path, samples.T, rate, subtype="FLOAT")
        return StemFiles(paths=(path,))

    return song_scores(
        sample_rate=rate,
        frames=max(samples.shape[1] for samples in estimates.values()),
        estimates={n: store(folder / f"e {n}.wav", s) for n, s in estimates.items()},
        references={n: store(folder / f"r {n}.wav", s) for n, s in references.items()},
    )
