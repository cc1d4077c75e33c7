"""Curves and spectrograms."""

from __future__ import annotations

import io
import math
import re

import numpy as np
import pytest
from audio_files import tones
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from song_scores import NAN, stem_scores

from stemsplit.evaluation.report import charts

RATE = 8_000


def test_a_tone_is_a_line_at_its_frequency_and_level() -> None:
    levels = charts.spectrogram(tones(2 * 44_100, 44_100, (1000.0, 1000.0)), 44_100)
    rows, columns = levels.shape
    assert (rows, columns) == (192, 86)
    middle = levels[:, columns // 2]
    place = rows * math.log(1000 / 40) / math.log(20_000 / 40)
    assert abs(int(middle.argmax()) - place) <= 1
    assert middle.max() == pytest.approx(20 * math.log10(0.5), abs=1.5)
    assert middle[:80].max() < -60 and middle[-40:].max() < -60


@pytest.mark.parametrize("frames", [1, 5, 44_100, 40 * 44_100])
def test_spectrograms_of_any_length(frames: int) -> None:
    levels = charts.spectrogram(np.zeros((2, frames), np.float32), 44_100)
    assert levels.shape[0] == 192 and 1 <= levels.shape[1] <= 800
    assert levels.max() == pytest.approx(-140)


def test_spectrograms_of_a_stem_share_their_colours() -> None:
    loud = tones(RATE, RATE, (500.0,))
    (first, second), brightest = charts.draw_spectrograms([loud, loud * 0.001], RATE)
    assert brightest == -5.0
    images = [np.asarray(Image.open(io.BytesIO(png))) for png in (first, second)]
    shades = [int(image.max()) for image in images]
    assert shades[0] == pytest.approx(63, abs=2)
    assert shades[0] - shades[1] == pytest.approx(60 * 63 / 80, abs=1)
    highest = np.unravel_index(images[0].argmax(), images[0].shape)[0]
    place = math.log(500 / 40) / math.log(4000 / 40)
    assert 1 - highest / 192 == pytest.approx(place, abs=0.02)  # pitch goes upwards


def test_curves_have_gaps_and_borders_and_the_colours_of_the_page() -> None:
    stem = stem_scores("vocals", (5.0, NAN, math.inf, -math.inf, 5.0))
    for svg in charts.draw_frames(stem, 1.0, 1.0, (-10.0, 20.0), (1.0, 3.0)):
        assert svg.startswith("<svg viewBox=") and svg.endswith("</svg>")
        for colour in ("ink", "faint", "band", "shade", "stem"):
            assert f"var(--{colour})" in svg
        drawn = re.findall(r"(?:stroke|fill): ?#[0-9a-f]{6}", svg)
        assert not drawn, drawn
        assert "0:02" in svg and "font-family" not in svg and "http" not in svg.split(">", 1)[1]


@pytest.mark.parametrize(
    ("seconds", "most", "marks"),
    [
        (0.5, 10, [0]),
        (2, 10, [0, 1, 2]),
        (30, 5, [0, 10, 20, 30]),
        (236, 10, [0, 30, 60, 90, 120, 150, 180, 210]),
        (3_600, 10, [0, 600, 1_200, 1_800, 2_400, 3_000, 3_600]),
    ],
)
def test_marks_of_time_are_those_of_clocks(seconds: float, most: int, marks: list[int]) -> None:
    assert charts.time_ticks(seconds, most) == marks


@given(st.floats(0.01, 14_000), st.integers(4, 12))
def test_marks_of_time_are_few_and_within_the_song(seconds: float, most: int) -> None:
    marks = charts.time_ticks(seconds, most)
    assert marks[0] == 0
    assert marks[-1] <= seconds
    assert len(marks) <= most + 1


def test_limits_are_tens_that_hold_what_is_found() -> None:
    assert charts.frame_limits([]) == (0.0, 20.0)
    assert charts.frame_limits([stem_scores("a", (NAN, math.inf))]) == (0.0, 20.0)
    assert charts.frame_limits([stem_scores("a", (-3.0, 25.0))]) == (-10.0, 30.0)
    assert charts.frame_limits([stem_scores("a", (-300.0, 300.0))]) == (-30.0, 60.0)


def test_boxes_are_of_the_values_that_are_numbers() -> None:
    values = [1.0, 2.0, 3.0, 4.0, 5.0, 90.0, NAN, math.inf]
    svg = charts.draw_boxes({"vocals": values, "silence": [NAN]})
    assert svg == charts.draw_boxes({"vocals": values[:-2], "silence": []})
    assert "vocals" in svg and "silence" in svg
    assert not re.findall(r"(?:stroke|fill): ?#[0-9a-f]{6}", svg)
    # The outlier is a point, within the limits of the chart.
    assert svg != charts.draw_boxes({"vocals": values[:5], "silence": []})


def test_names_of_stems_are_text_in_charts_too() -> None:
    svg = charts.draw_field({"<b>$x_1$\n\udcff": (1.0, [2.0]), "日本": (NAN, [])})
    assert "&lt;b&gt;$x_1$" in svg and "日本" in svg
