"""The results of an evaluation as plain data, from which all reports are written."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stemsplit.data.stems import StemFiles

#: One value per frame of BSS Eval, ``(N,)``.
Frames = NDArray[np.float64]

#: The fields of `StemScores` with a value for each frame, and those with one for the whole stem.
BSS_EVAL = ("sdr", "isr", "sir", "sar")
#: ``LEADERBOARD`` are the scores from 0 to 100 that leaderboards print; computing these two of them
#: takes two passes over the song.
SPECTRAL_BALANCE = ("bleedless", "fullness")
LEADERBOARD = ("k_sdr", *SPECTRAL_BALANCE, "l1_freq", "aura_stft", "aura_mrstft")
WHOLE_STEM = ("global_sdr", "si_sdr", "si_sir", "si_sar", "log_wmse", "l1", "mrstft", *LEADERBOARD)


@dataclass(frozen=True, slots=True, kw_only=True)
class StemScores:
    """How close one stem is to its reference.

    ``sdr``, ``isr``, ``sir`` and ``sar`` are those of BSS Eval v4, one value per frame ``(N,)``, in
    dB, NaN for a frame in which a source is silent. All other figures are for the whole stem, in dB
    except for ``l1`` (mean absolute difference, full scale 1), ``mrstft`` (multi-resolution STFT
    distance), ``log_wmse``, and those of ``LEADERBOARD`` (0 to 100), which are missing from scores
    written by an earlier version. NaN means undefined.
    """

    name: str
    sdr: Frames
    isr: Frames
    sir: Frames
    sar: Frames
    global_sdr: float
    si_sdr: float
    si_sir: float
    si_sar: float
    log_wmse: float
    l1: float
    mrstft: float
    k_sdr: float = math.nan
    bleedless: float = math.nan
    fullness: float = math.nan
    l1_freq: float = math.nan
    aura_stft: float = math.nan
    aura_mrstft: float = math.nan
    delay: int | None  # samples by which the estimate is late; None: unknown
    inverted: bool  # the estimate is closer to the reference with its polarity inverted


@dataclass(frozen=True, slots=True, kw_only=True)
class StemMeasures:
    """Measures of one stem by itself, without a reference.

    ``-inf`` dB is silence, NaN means undefined: a silent stem has no correlation and no overlap.
    The stems of any song overlap to some degree, so use ``overlap`` and ``correlation`` to compare
    separations of one song, not different songs.
    """

    name: str
    loudness: float  # integrated, LUFS (ITU-R BS.1770)
    peak: float  # of the samples, dBFS
    true_peak: float  # of the waveform between samples as well, dBTP
    clipped: int  # samples at or beyond full scale in runs of at least three
    above_11_khz: float  # energy above it relative to all energy, dB
    above_16_khz: float
    joins: float  # the largest discontinuity relative to the waveform around it, dB
    correlation: Mapping[str, float]  # with each other stem, -1 … 1
    overlap: Mapping[str, float]  # Σ min(|A|², |B|²) / Σ |A|² in time and frequency, 0 … 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SongScores:
    """All scores and measures of the stems of one song."""

    song: str
    sample_rate: int  # Hz, of all measurements
    frames: int  # of each stem, after cutting all to one length
    window: float  # s, of a frame of BSS Eval
    hop: float  # s
    scores: tuple[StemScores, ...]  # empty without references
    measures: tuple[StemMeasures, ...]
    null_residual: float | None  # mix − sum of stems relative to the mix, dB; None without a mix
    unreproducible: tuple[str, ...] = ()  # BSS Eval metrics that depend on rounding in some frame
    bss_eval: str = "own"  # what computed it: this package, or museval and its version
    remarks: tuple[str, ...] = ()  # about tracks aligned, resampled, summed or left out
    estimates: Mapping[str, StemFiles] = field(default_factory=dict)
    references: Mapping[str, StemFiles] = field(default_factory=dict)
    mixture: StemFiles | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)  # model, options, versions


def median(frames: Frames) -> float:
    """Return the median of the values in ``frames`` ``(N,)`` that are not NaN; NaN if all are."""
    answered = frames[~np.isnan(frames)]
    return float(np.median(answered)) if answered.size else math.nan
