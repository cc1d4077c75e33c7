"""The content of a page: faults, positions, pairs, settings, figures."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from audio_files import noise
from song_scores import NAN, song_scores, stem_measures, stem_scores, stored_song

from stemsplit.evaluation.report import content, html

RATE = 8_000


def test_the_faults_of_each_stem_are_in_words() -> None:
    far, near = np.full(4, 20.0), np.full(4, 5.0)
    songs = [
        song_scores(stem_scores("vocals", (7.0, NAN, -3.5, 2.0)), song="alike"),
        song_scores(replace(stem_scores("vocals"), sir=near, sar=far), song="bleed"),
        song_scores(replace(stem_scores("vocals"), sir=far, sar=near), song="artifacts"),
        song_scores(stem_scores("vocals", (1.0,), delay=441, inverted=True), song="late"),
        song_scores(stem_scores("vocals"), song="low", unreproducible=("sir",)),
    ]
    alike, bleed, artifacts, late, low = (
        " ".join(re.sub(r"<[^>]*>", "", html.render([song])).split()) for song in songs
    )
    assert "As much bleed from other stems as artifacts: SIR 4.0 dB, SAR 5.0 dB." in alike
    assert "Lowest at 0:02: SDR −3.5 dB." in alike
    assert "none in 1 of 4 frames" in alike
    assert "More bleed from other stems than artifacts: SIR 5.0 dB, SAR 20.0 dB." in bleed
    assert "More artifacts than bleed from other stems: SIR 20.0 dB, SAR 5.0 dB." in artifacts
    assert "441 samples (10.0 ms) too late, not corrected." in late
    assert "Inverted polarity, not corrected." in late
    # With a delay, or a SIR that rounding decides, the scores do not show which error prevails.
    assert "bleed from" not in late and "bleed from" not in low


def test_the_lowest_position_is_one_that_can_be_played(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(html, "SECONDS", 2.0)
    reference = noise(8 * RATE, 2)
    estimate = reference.copy()
    estimate[:, 4 * RATE : 6 * RATE] *= -1  # the loudest error
    song = stored_song(tmp_path, {"vocals": estimate}, {"vocals": reference})
    scored = stem_scores("vocals", (-50.0, 9.0, 9.0, 9.0, 1.0, -2.0, 9.0, 9.0))
    page = html.render([replace(song, scores=(scored,))])
    text = " ".join(re.sub(r"<[^>]*>", "", page).split())
    assert "Lowest in this part at 0:05: SDR −2.0 dB." in text
    assert re.findall('data-to="(.*?)"', page) == ["1.0"]


def test_pairs_of_stems_begin_with_the_most_alike() -> None:
    names = [f"stem {k}" for k in range(6)]
    shares = {name: k / 10 for k, name in enumerate(names)}
    measures = tuple(
        stem_measures(name, overlap={n: shares[n] for n in names if n != name}) for name in names
    )
    page = html.render([song_scores(measures=measures)])
    rows = re.findall(r"<th scope=.row.>(stem \d), (stem \d)</th><td>–</td><td>(.*?)</td>", page)
    assert len(rows) == 15
    assert rows[0] == ("stem 0", "stem 5", "0.50")  # the larger of the two shares
    assert [row[2] for row in rows] == sorted((row[2] for row in rows), reverse=True)
    assert f"{15 - html.SHOWN_PAIRS} more pairs" in page


def test_settings_are_in_words_and_without_those_that_identify_runs() -> None:
    settings = {"overlap": None, "map": {}, "files": {"bass.wav": [1, 2]}, "offline": True}
    settings["bss_eval"] = "own"
    page = html.render([song_scores(stem_scores("vocals"), settings=settings)])
    assert "<dt>overlap</dt><dd>model default</dd>" in page
    assert "<dt>offline</dt><dd>yes</dd>" in page
    assert not any(f"<dt>{name}" in page for name in ("map", "files", "bss_eval"))


def test_figures_are_printed_with_signs_and_dashes() -> None:
    printed = [content.figure(v) for v in (1.234, -0.001, -3.1, NAN, -math.inf, math.inf, None)]
    assert printed == ["1.23", "0.00", "−3.10", "–", "−∞", "∞", "–"]
    page = html.render([song_scores(stem_scores("vocals", (NAN,), global_sdr=-3.125))])
    assert "<td>−3.12</td>" in page
