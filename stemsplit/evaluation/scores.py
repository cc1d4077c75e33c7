"""What an evaluation finds: plain data, which every kind of report is written from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stemsplit.data.stems import StemFiles

Frames = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class StemScores:
    """How near one stem is to its reference.

    ``sdr``, ``isr``, ``sir`` and ``sar`` are those of BSS Eval v4, one value a frame ``(N,)``, dB,
    NaN for a frame in which a source is silent. All other figures are of the whole stem: dB but for
    ``l1`` (mean absolute difference, full scale 1), ``mrstft`` (multi-resolution STFT distance) and
    ``log_wmse``. NaN is "no answer".
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
    delay: int | None  # samples that the estimate comes later than the reference; None: unknown
    inverted: bool  # the estimate is nearer to the reference when its polarity is flipped


@dataclass(frozen=True, slots=True, kw_only=True)
class StemMeasures:
    """What one stem shows by itself, without a reference.

    ``-inf`` dB is silence, NaN is "no answer": with a silent stem there is no correlation, and of
    one no overlap. Songs overlap by themselves, so that ``overlap`` and ``correlation`` compare
    separations of one song, not songs.
    """

    name: str
    loudness: float  # integrated, LUFS (ITU-R BS.1770)
    peak: float  # of the samples, dBFS
    true_peak: float  # between the samples too, dBTP
    clipped: int  # samples at or beyond full scale in runs of at least three
    above_11_khz: float  # energy above it against all energy, dB
    above_16_khz: float
    joins: float  # the most that a jump, as where segments do not meet, stands out of its wave, dB
    correlation: Mapping[str, float]  # with each other stem, -1 … 1
    overlap: Mapping[str, float]  # Σ min(|A|², |B|²) / Σ |A|² in time and frequency, 0 … 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SongScores:
    """Everything that is found about the stems of one song."""

    song: str
    sample_rate: int  # Hz, at which it was measured
    frames: int  # of each stem, after cutting all to one length
    window: float  # s, of a frame of BSS Eval
    hop: float  # s
    scores: tuple[StemScores, ...]  # empty without references
    measures: tuple[StemMeasures, ...]
    null_residual: float | None  # mix − sum of stems against the mix, dB; None without a mix
    unreproducible: tuple[str, ...] = ()  # metrics of BSS Eval that rounding decides in some frame
    replicated: bool = False  # whether these are rounded as museval rounds
    remarks: tuple[str, ...] = ()  # what was aligned, resampled, summed or left out
    estimates: Mapping[str, StemFiles] = field(default_factory=dict)
    references: Mapping[str, StemFiles] = field(default_factory=dict)
    mixture: StemFiles | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)  # model, options, versions
