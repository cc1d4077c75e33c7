"""Scores as plain data."""

from __future__ import annotations

import math

import numpy as np
from song_scores import NAN

from stemsplit.evaluation.scores import median


def test_a_median_leaves_out_what_has_no_answer() -> None:
    assert median(np.array([NAN, 3.0, 1.0, NAN])) == 2.0
    assert math.isnan(median(np.array([NAN]))) and math.isnan(median(np.array([])))
