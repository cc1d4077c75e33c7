"""Describe facts about the scores of a song that the figures alone do not show."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from stemsplit.evaluation.report.stem_sets import ComparedSong
from stemsplit.evaluation.report.tables import decibel
from stemsplit.evaluation.scores import SongScores, StemScores, median

#: dB: bleed and artifacts that differ by less than this, a factor of two, count as equal.
ALIKE = 3.0
#: Formats a figure with a number of decimals.
Show = Callable[[float, int], str]


def describe_song(song: SongScores, show: Show = decibel) -> Iterator[str]:
    """Yield remarks on how ``song`` was scored, and on scores that are wrong or uncertain."""
    yield from song.remarks
    if song.null_residual is not None:
        residual = show(song.null_residual, 1)
        yield f"residual (mix minus sum of stems): {residual} dB relative to the mix"
    for stem in song.scores:
        for fault in describe_faults(stem, song.sample_rate):
            yield f"{stem.name}: {fault}"
    unscored: dict[str, list[str]] = {}
    for stem in song.scores:
        if silent := int(np.count_nonzero(np.isnan(stem.sdr))):
            unscored.setdefault(f"{silent} of {stem.sdr.size}", []).append(stem.name)
    for frames, names in unscored.items():
        stems = ", ".join(names)
        yield f"{stems}: {frames} frames not scored because a reference or an estimate is silent"
    if song.bss_eval != "own":
        yield f"SDR, ISR, SIR, SAR: computed by {song.bss_eval}"
    if song.unreproducible:
        metrics = ", ".join(metric.upper() for metric in song.unreproducible)
        yield (
            f"{metrics}: some frames depend on rounding, because the references have empty bands; "
            "museval's own values vary there too"
        )


def describe_sets(song: ComparedSong, show: Show = decibel) -> list[str]:
    """Return the remarks of ``describe_song`` on each set; those on all sets only once."""
    found = {name: list(describe_song(scores, show)) for name, scores in song.sets.items()}
    first, *others = found.values()
    shared = [text for text in first if all(text in texts for texts in others)]
    own = [
        f"{name}: {text}" for name, texts in found.items() for text in texts if text not in shared
    ]
    return [*shared, *own]


def describe_faults(stem: StemScores, sample_rate: int) -> Iterator[str]:
    """Yield the faults of ``stem`` that lower its scores even if it sounds good."""
    if stem.delay:
        late = "late" if stem.delay > 0 else "early"
        shift = 1000 * abs(stem.delay) / sample_rate
        yield f"{abs(stem.delay)} samples ({shift:.1f} ms) too {late}, not corrected"
    if stem.inverted:
        yield "inverted polarity, not corrected"


def find_lowest(stem: StemScores, first: int = 0, last: int | None = None) -> int | None:
    """Return the frame with the lowest SDR from ``first`` up to ``last`` (None: the end).

    Returns None if fewer than two of these frames have a finite SDR.
    """
    part = stem.sdr[first:last]
    answered = np.isfinite(part)
    if np.count_nonzero(answered) < 2:
        return None
    return first + int(np.argmin(np.where(answered, part, np.inf)))


def describe_error(stem: StemScores, show: Show = decibel) -> str | None:
    """Return which error prevails in ``stem``; None if the scores do not show it.

    With a delay they do not, because all errors become artifacts.
    """
    bleed, artifacts = median(stem.sir), median(stem.sar)
    if stem.delay or not (math.isfinite(bleed) and math.isfinite(artifacts)):
        return None
    figures = f"SIR {show(bleed, 1)} dB, SAR {show(artifacts, 1)} dB"
    if abs(bleed - artifacts) < ALIKE:
        return f"As much bleed from other stems as artifacts: {figures}."
    if bleed < artifacts:
        return f"More bleed from other stems than artifacts: {figures}."
    return f"More artifacts than bleed from other stems: {figures}."
