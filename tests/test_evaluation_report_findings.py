"""Findings in sentences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from song_scores import NAN, song_scores, stem_scores

from stemsplit.evaluation.report.findings import (
    describe_error,
    describe_faults,
    describe_song,
    find_lowest,
)


def test_the_lowest_frame_of_a_part() -> None:
    stem = stem_scores("a", (-9.0, 4.0, NAN, 2.0, 3.0, -7.0))
    assert find_lowest(stem) == 0
    assert find_lowest(stem, 1, 5) == 3
    assert find_lowest(stem, 1, 3) is None  # of a single frame nothing is lowest


def test_stems_share_a_remark_on_the_same_number_of_unscored_frames() -> None:
    song = song_scores(stem_scores("a"), stem_scores("b"), stem_scores("c", (1.0,)))
    unscored = "a, b: 1 of 4 frames not scored because a reference or an estimate is silent"
    assert list(describe_song(song)) == [unscored]


def test_scores_that_rounding_decides_and_their_origin_are_remarked() -> None:
    song = song_scores(stem_scores("a", (1.0,)), unreproducible=("isr", "sar"))
    assert list(describe_song(song)) == [
        "ISR, SAR: some frames depend on rounding, because the references have empty bands; "
        "museval's own values vary there too"
    ]
    by_museval = replace(song, unreproducible=(), bss_eval="museval 0.4.1")
    assert list(describe_song(by_museval)) == ["SDR, ISR, SIR, SAR: computed by museval 0.4.1"]


def test_delay_and_polarity_are_faults() -> None:
    early = stem_scores("a", (1.0,), delay=-88, inverted=True)
    assert list(describe_faults(early, 44_100)) == [
        "88 samples (2.0 ms) too early, not corrected",
        "inverted polarity, not corrected",
    ]
    assert list(describe_faults(stem_scores("a", delay=None), 44_100)) == []


@pytest.mark.parametrize(
    ("sir", "sar", "text"),
    [
        (5.0, 20.0, "More bleed from other stems than artifacts: SIR 5.0 dB, SAR 20.0 dB."),
        (20.0, 5.0, "More artifacts than bleed from other stems: SIR 20.0 dB, SAR 5.0 dB."),
        (7.0, 9.5, "As much bleed from other stems as artifacts: SIR 7.0 dB, SAR 9.5 dB."),
        (np.inf, 9.5, None),
    ],
)
def test_the_error_that_prevails(sir: float, sar: float, text: str | None) -> None:
    stem = replace(stem_scores("a"), sir=np.array([sir, np.nan]), sar=np.array([sar]))
    assert describe_error(stem) == text
    assert describe_error(replace(stem, delay=3)) is None
