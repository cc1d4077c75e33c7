"""log-WMSE against closed forms and its own package."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scored_stems import noise

from stemsplit.evaluation import log_wmse
from stemsplit.evaluation.weighted_error import design_filter


def test_log_wmse_of_silence_and_of_known_errors() -> None:
    stems = np.stack([noise(2, 44_100), np.zeros((2, 44_100))])
    perfect = -4 * math.log(1e-8)
    assert log_wmse(stems, stems) == pytest.approx(perfect)
    leaking = stems.copy()
    leaking[1] = 0.1 * stems[0]
    found = log_wmse(stems, leaking)
    assert found[0] == pytest.approx(perfect)
    assert found[1] == pytest.approx(-4 * math.log(0.01 + 1e-8))
    # Of the mixture only its loudness counts, and a silent one counts as very quiet.
    assert log_wmse(stems, leaking, mixture=2 * stems[0])[1] == pytest.approx(
        -4 * math.log(0.0025 + 1e-8)
    )
    assert log_wmse(stems * 0, stems * 0)[0] == pytest.approx(perfect)
    assert log_wmse(stems * 0, stems)[0] < -100


@pytest.mark.parametrize("sample_rate", [16_000, 44_100, 48_000, 96_000])
def test_errors_are_weighted_by_the_sensitivity_of_hearing(sample_rate: int) -> None:
    times = np.arange(sample_rate) / sample_rate
    mixture = np.sin(2 * np.pi * 1_000 * times)[None]
    for hertz, level in ((50, -15.33), (200, -0.11), (3_150, 4.23), (5_000, 3.51)):
        error = 0.01 * np.sin(2 * np.pi * hertz * times)[None, None]
        found = log_wmse(0 * error, error, sample_rate, mixture=mixture)[0]
        expected = 1e-4 * 10 ** ((level - 1.49) / 10)
        assert found == pytest.approx(-4 * math.log(expected + 1e-8), abs=0.05)


def test_the_response_is_that_of_the_four_filters_of_the_source() -> None:
    # Measured of `filter_ir.f32` of torch-log-wmse 1.1.0, whose taps are rounded to float32.
    taps = design_filter(44_100)
    assert taps.size == 4000
    assert int(abs(taps).argmax()) == 1999
    response = 20 * np.log10(abs(np.fft.rfft(taps, 44_100)))
    found = response[[1, 5, 10, 20, 50, 1_000, 5_000, 20_000]]
    expected = [-83.169, -55.213, -43.171, -31.130, -15.319, 1.493, 3.507, -30.941]
    np.testing.assert_allclose(found, expected, atol=0.004)
    assert abs(taps.sum()) < 1e-7  # nothing constant passes


@pytest.mark.parametrize(
    ("sample_rate", "frames", "error", "expected"),
    [
        (44_100, 44_100, 0.1, 26.54628),
        (44_100, 2_205, 0.1, 14.47718),
        (44_100, 441_000, 0.001, 70.32951),
        (48_000, 48_000, 0.1, 26.18548),
        (16_000, 16_000, 0.1, 29.32131),
        (96_000, 96_000, 0.01, 41.83551),
    ],
)
def test_constant_errors_score_as_in_the_package(
    sample_rate: int, frames: int, error: float, expected: float
) -> None:
    # Of such errors only the edges are heard: the filter's response to a step.
    mixture = 0.1 * noise(1, frames)
    found = log_wmse(
        0 * mixture[None], np.full((1, 1, frames), error), sample_rate, mixture=mixture
    )
    assert found[0] == pytest.approx(expected, abs=2e-4)


def test_the_mixture_must_fit() -> None:
    with pytest.raises(ValueError, match=r"mixture \(1, 50\) does not match stems \(2, 2, 50\)"):
        log_wmse(np.ones((2, 2, 50)), np.ones((2, 2, 50)), mixture=np.ones((1, 50)))


@pytest.mark.network
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("sample_rate", [16_000, 44_100, 48_000])
def test_the_package_gives_the_same(
    oracles: Path, monkeypatch: pytest.MonkeyPatch, sample_rate: int
) -> None:
    monkeypatch.syspath_prepend(str(oracles))
    from torch_log_wmse import LogWMSE

    stems = noise(2, 2, 44_100).cumsum(-1) * 0.01 + 0.1 * noise(2, 2, 44_100, seed=1)
    whispered = 0.02 * noise(2, 2, 44_100, seed=2)
    for error in (whispered - 0.1 * stems, np.full_like(stems, 0.1), np.full_like(stems, 1e-3)):
        truth, estimate = torch.from_numpy(stems), torch.from_numpy(stems + error)
        theirs = LogWMSE(sample_rate=sample_rate).per_stem(
            truth.sum(0)[None], estimate.swapaxes(0, 1)[None], truth.swapaxes(0, 1)[None]
        )
        found = log_wmse(stems, stems + error, sample_rate)
        np.testing.assert_allclose(found, theirs[0].mean(0), atol=2e-4)
