"""Each figure in plain words, and how it is printed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Explained:
    """A figure: the field that holds it, its name, unit, decimals and meaning."""

    key: str
    name: str
    unit: str
    group: str
    text: str
    decimals: int = 2


GROUPS = {
    "frames": "BSS Eval v4: median over frames",
    "whole": "The whole stem at once",
    "distance": "Distances: less is better",
}

METRICS = (
    Explained(
        "sdr", "SDR", "dB", "frames",
        "Signal to distortion: how much louder the true stem is than everything that is wrong with "
        "the estimate. 0 dB: as loud; 10 dB: ten times the power. What papers report.",
    ),
    Explained(
        "isr", "ISR", "dB", "frames",
        "Image to spatial distortion: whether the stem has the right place between the speakers "
        "and the right tone.",
    ),
    Explained(
        "sir", "SIR", "dB", "frames",
        "Source to interference: how little of the other stems is left in it. Low: one hears the "
        "drums in the vocals.",
    ),
    Explained(
        "sar", "SAR", "dB", "frames",
        "Source to artifacts: how little there is that was in no stem at all. Low: it bubbles, "
        "chirps or sounds hollow.",
    ),
    Explained(
        "global_sdr", "Global SDR", "dB", "whole",
        "Power of the true stem against power of the error, over the whole song, as the Music "
        "Demixing challenges count it. A wrong level or a wrong tone is an error here.",
    ),
    Explained(
        "si_sdr", "SI-SDR", "dB", "whole",
        "The same after the estimate was brought to the best level: loudness does not count.",
    ),
    Explained(
        "si_sir", "SI-SIR", "dB", "whole",
        "The part of the SI-SDR's error that is made of other stems.",
    ),
    Explained(
        "si_sar", "SI-SAR", "dB", "whole",
        "The part of the SI-SDR's error that is made of none of the stems.",
    ),
    Explained(
        "log_wmse", "log-WMSE", "", "whole",
        "The error, weighted by how loud ears hear it, against the loudness of the mix. It has an "
        "answer even where a stem ought to be silent. Higher is better.",
    ),
    Explained(
        "l1", "L1", "", "distance",
        "Mean difference of the samples, where full scale is 1.", 4,
    ),
    Explained(
        "mrstft", "STFT", "", "distance",
        "How different the spectra are, with windows of several lengths (multi-resolution).", 3,
    ),
)  # fmt: skip

MEASURES = (
    Explained("loudness", "Loudness", "LUFS", "", "As broadcasters measure it (ITU-R BS.1770)."),
    Explained("peak", "Peak", "dBFS", "", "The largest sample."),
    Explained("true_peak", "True peak", "dBTP", "", "The largest value between the samples too."),
    Explained(
        "clipped", "Clipped samples", "", "",
        "Samples at or beyond full scale, three or more in a row.",
    ),
    Explained(
        "above_11_khz", "Above 11 kHz", "dB", "",
        "Energy up there against all energy: some models hear nothing above it, so that cymbals "
        "and breath are missing.",
    ),
    Explained("above_16_khz", "Above 16 kHz", "dB", "", "The same above 16 kHz."),
    Explained(
        "joins", "Joins", "dB", "",
        "The largest jump of the wave against those around it. Music alone reaches some 15 dB; a "
        "cut, or segments of the separation that do not meet, may stand out by more.",
    ),
)  # fmt: skip
