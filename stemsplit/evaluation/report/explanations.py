"""Explain each figure in plain words, and define how it is printed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Explained:
    """A figure: its field, name, unit, decimals and meaning."""

    key: str
    name: str
    unit: str
    group: str
    text: str
    decimals: int = 2


GROUPS = {
    "frames": "BSS Eval v4: median over frames",
    "whole": "The whole stem at once",
    "distance": "Distances: lower is better",
    "leaderboard": "Scores of leaderboards: 0 to 100, higher is better",
}

METRICS = (
    Explained(
        "sdr", "SDR", "dB", "frames",
        "Signal to distortion: how much louder the true stem is than all errors of the estimate. "
        "0 dB: as loud; 10 dB: ten times the power. Papers report this one.",
    ),
    Explained(
        "isr", "ISR", "dB", "frames",
        "Image to spatial distortion: whether the stem has the right position between the speakers "
        "and the right tone.",
    ),
    Explained(
        "sir", "SIR", "dB", "frames",
        "Source to interference: how little of the other stems is left in it. Low: the drums are "
        "audible in the vocals.",
    ),
    Explained(
        "sar", "SAR", "dB", "frames",
        "Source to artifacts: how little was added that is in none of the stems. Low: it bubbles, "
        "chirps or sounds hollow.",
    ),
    Explained(
        "global_sdr", "Global SDR", "dB", "whole",
        "Power of the true stem relative to the power of the error, over the whole song, as in the "
        "Music Demixing Challenges. A wrong level or a wrong tone is an error here.",
    ),
    Explained(
        "si_sdr", "SI-SDR", "dB", "whole",
        "The same after scaling the estimate to the best level: loudness does not count.",
    ),
    Explained(
        "si_sir", "SI-SIR", "dB", "whole",
        "Relative to the part of that error that consists of other stems.",
    ),
    Explained(
        "si_sar", "SI-SAR", "dB", "whole",
        "Relative to the part of that error that is in none of the stems.",
    ),
    Explained(
        "log_wmse", "log-WMSE", "", "whole",
        "The error relative to the mix, both weighted by the sensitivity of hearing. Defined even "
        "for stems that should be silent. Higher is better.",
    ),
    Explained(
        "l1", "L1", "", "distance",
        "Mean absolute difference of the samples, full scale 1.", 4,
    ),
    Explained(
        "mrstft", "STFT", "", "distance",
        "Difference of the spectra with windows of several lengths (multi-resolution).", 3,
    ),
    Explained(
        "k_sdr", "k-SDR", "", "leaderboard",
        "The global SDR limited to ±10 dB, on a logarithmic scale: no one song decides the mean.",
    ),
    Explained(
        "bleedless", "Bleedless", "", "leaderboard",
        "By how little the spectrum of the estimate exceeds that of the true stem, in dB, in the "
        "places where it does. Low: other stems are audible.",
    ),
    Explained(
        "fullness", "Fullness", "", "leaderboard",
        "How little the spectrum of the estimate lacks, in dB, in the places where it lacks "
        "something. Low: the stem sounds thin or muffled.",
    ),
    Explained(
        "l1_freq", "L1-freq", "", "leaderboard",
        "Mean absolute difference of the spectra. Quiet songs have higher scores.",
    ),
    Explained(
        "aura_stft", "Aura STFT", "", "leaderboard",
        "A distance of spectra like STFT above, at one resolution.",
    ),
    Explained(
        "aura_mrstft", "Aura MR-STFT", "", "leaderboard",
        "The same at three resolutions, in bands of the mel scale and weighted by the sensitivity "
        "of hearing.",
    ),
)  # fmt: skip

MEASURES = (
    Explained("loudness", "Loudness", "LUFS", "", "Integrated loudness (ITU-R BS.1770)."),
    Explained("peak", "Peak", "dBFS", "", "The largest sample."),
    Explained(
        "true_peak", "True peak", "dBTP", "",
        "The largest value of the waveform, also between samples.",
    ),
    Explained(
        "clipped", "Clipped samples", "", "",
        "Samples at or beyond full scale, three or more in a row.",
    ),
    Explained(
        "above_11_khz", "Above 11 kHz", "dB", "",
        "Energy above it relative to all energy: some models lose everything above it, so that "
        "cymbals and breath are missing.",
    ),
    Explained("above_16_khz", "Above 16 kHz", "dB", "", "The same above 16 kHz."),
    Explained(
        "joins", "Joins", "dB", "",
        "The largest discontinuity relative to the waveform around it. Music alone reaches some "
        "15 dB; a cut, or segments of the separation that do not meet, may exceed that.",
    ),
)  # fmt: skip
