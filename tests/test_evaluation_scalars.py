"""One number a stem: projections, log-WMSE, L1, the STFT distance, and all of them by blocks."""

import math
from pathlib import Path

import museval_package
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stemsplit.evaluation import (
    ScalarScores,
    global_sdr,
    l1,
    log_wmse,
    mrstft,
    projections,
    si_sar,
    si_sdr,
    si_sir,
)

ALONE = (global_sdr, si_sdr, l1, mrstft)
TOGETHER = (si_sir, si_sar, log_wmse)


def orthogonal(count: int, frames: int = 4_000) -> np.ndarray:
    """Return waves ``(count, 2, T)`` of energy T each, orthogonal to each other."""
    turns = 2 * np.pi * np.arange(frames) / frames
    return np.stack([[np.sin((5 + k) * turns), np.cos((5 + k) * turns)] for k in range(count)])


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


@given(st.floats(-30, 30), st.floats(-30, 30), st.floats(0.1, 5))
def test_each_part_has_its_own_ratio(leakage: float, artifacts: float, gain: float) -> None:
    first, second, strange = orthogonal(3)
    inter, art = 10 ** (-leakage / 20), 10 ** (-artifacts / 20)
    references = np.stack([first, second])
    estimates = np.stack([gain * (first + inter * second + art * strange), second])
    assert si_sir(references, estimates)[0] == pytest.approx(leakage, abs=1e-6)
    assert si_sar(references, estimates)[0] == pytest.approx(artifacts, abs=1e-6)
    found = projections(references, estimates)
    whole = -10 * math.log10(inter**2 + art**2)
    assert found.sdr[0] == pytest.approx(whole, abs=1e-6)
    assert found.sdr[0] == pytest.approx(si_sdr(first, estimates[0]), abs=1e-6)
    assert found.sir[0] == pytest.approx(leakage, abs=1e-6)
    assert found.sar[0] == pytest.approx(10 * math.log10((1 + inter**2) / art**2), abs=1e-6)
    assert [found.sdr[1], found.sir[1], found.sar[1]] == [math.inf] * 3


def test_correlated_references_share_what_they_explain() -> None:
    first, second, _ = orthogonal(3)
    references = np.stack([first, first + second])
    # The sum of both references: 1.5 of the second's energy is its own, 0.5 the first adds.
    estimates = np.stack([first, 2 * first + second])
    assert si_sir(references, estimates)[1] == pytest.approx(10 * math.log10(4.5 / 0.5), abs=1e-9)
    assert si_sar(references, estimates)[1] == math.inf
    twins = np.stack([first, first])  # no sum of them is more than either
    assert si_sir(twins, twins + 0.1 * second).tolist() == [math.inf, math.inf]
    assert si_sar(twins, twins + 0.1 * second) == pytest.approx(20, abs=1e-9)


def test_silence_and_single_sources_have_defined_scores() -> None:
    first, second = orthogonal(2)
    silence = np.zeros_like(first)
    for score in (si_sir, si_sar):
        assert np.isnan(score([silence, second], [first, second])[0])
        assert score(np.stack([first, second]), np.stack([silence, second]))[0] == -math.inf
    assert si_sir(first[None], first[None] + 0.1 * second[None])[0] == math.inf
    assert si_sar(first[None], first[None] + 0.1 * second[None])[0] == pytest.approx(20)


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
def test_log_wmse_hears_what_people_hear(sample_rate: int) -> None:
    times = np.arange(sample_rate) / sample_rate
    mixture = np.sin(2 * np.pi * 1_000 * times)[None]
    for hertz, level in ((50, -15.33), (200, -0.11), (3_150, 4.23), (5_000, 3.51)):
        error = 0.01 * np.sin(2 * np.pi * hertz * times)[None, None]
        heard = log_wmse(0 * error, error, sample_rate, mixture=mixture)[0]
        expected = 1e-4 * 10 ** ((level - 1.49) / 10)
        assert heard == pytest.approx(-4 * math.log(expected + 1e-8), abs=0.2)


def test_l1_and_the_stft_distance() -> None:
    wave = noise(2, 5_000)
    assert l1(wave, wave + 0.25) == pytest.approx(0.25)
    assert mrstft(wave, wave) == 0.0
    # Half the level: half of the norm is missing, and every logarithm is off by ln 2.
    assert mrstft(wave, 0.5 * wave) == pytest.approx(0.5 + math.log(2), abs=1e-6)
    assert mrstft(0 * wave, 0 * wave) == 0.0
    assert math.isfinite(mrstft(0 * wave, wave))


@settings(max_examples=6, deadline=None)
@given(frames=st.integers(1, 9_000), blocks=st.integers(300, 3_000))
def test_blocks_give_what_the_whole_gives(frames: int, blocks: int) -> None:
    references = noise(2, 2, frames)
    estimates = 0.8 * references + 0.1 * references[::-1] + 0.1 * noise(2, 2, frames, seed=1)
    scores = ScalarScores(44_100)
    for start in range(0, frames, blocks):
        piece = slice(start, start + blocks)
        scores.add(references[..., piece], estimates[..., piece])
    found = scores.result()
    for score in ALONE + TOGETHER:
        np.testing.assert_allclose(
            getattr(found, score.__name__), score(references, estimates), rtol=1e-6
        )


@pytest.mark.parametrize("score", ALONE + TOGETHER)
def test_batches_tensors_and_gradients(score) -> None:
    references, estimates = noise(3, 2, 2, 3_000), noise(3, 2, 2, 3_000, seed=1)
    expected = [score(*pair) for pair in zip(references, estimates, strict=True)]
    np.testing.assert_allclose(score(references, estimates), expected, rtol=1e-9)
    tensor = torch.from_numpy(estimates).requires_grad_()
    result = score(torch.from_numpy(references), tensor)
    np.testing.assert_allclose(result.detach().numpy(), expected, rtol=1e-9)
    (gradient,) = torch.autograd.grad(result.sum(), tensor)
    step = 1e-6 * gradient / gradient.norm()
    moved = score(torch.from_numpy(references), tensor.detach() + step).sum()
    rise = float(moved - result.detach().sum())
    assert rise == pytest.approx(1e-6 * float(gradient.norm()), rel=0.05)


@pytest.mark.parametrize("score", ALONE + TOGETHER)
def test_what_cannot_be_scored(score) -> None:
    wave = np.ones((2, 2, 50))
    for other, message in (
        (np.ones((2, 2, 49)), "differ in shape"),
        (np.ones((2, 1, 50)), "differ in shape"),
        (np.where(np.arange(50) == 7, np.nan, wave), "not finite numbers"),
    ):
        with pytest.raises(ValueError, match=message):
            score(wave, other)
    with pytest.raises(ValueError, match="no samples"):
        score(wave[..., :0], wave[..., :0])
    with pytest.raises(ValueError, match="there is no audio"):
        ScalarScores().result()


def test_the_mixture_must_fit() -> None:
    with pytest.raises(ValueError, match=r"mixture \(1, 50\) does not fit stems \(2, 2, 50\)"):
        log_wmse(np.ones((2, 2, 50)), np.ones((2, 2, 50)), mixture=np.ones((1, 50)))


@pytest.fixture(scope="module")
def oracles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return museval_package.install(tmp_path_factory.mktemp("oracles"))


@pytest.mark.network
@pytest.mark.filterwarnings("ignore")
def test_the_packages_give_the_same(oracles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(oracles))
    from auraloss.freq import MultiResolutionSTFTLoss
    from torch_log_wmse import LogWMSE

    stems = noise(2, 2, 44_100).cumsum(-1) * 0.01 + 0.1 * noise(2, 2, 44_100, seed=1)
    guess = 0.9 * stems + 0.02 * noise(2, 2, 44_100, seed=2)
    truth, estimate = torch.from_numpy(stems), torch.from_numpy(guess)
    theirs = LogWMSE().per_stem(
        truth.sum(0)[None], estimate.mT.mT.swapaxes(0, 1)[None], truth.swapaxes(0, 1)[None]
    )
    np.testing.assert_allclose(log_wmse(stems, guess), theirs[0].mean(0), atol=0.02)
    loss = MultiResolutionSTFTLoss()
    for stem in range(2):
        expected = float(loss(estimate[stem : stem + 1], truth[stem : stem + 1]))
        assert mrstft(stems[stem], guess[stem]) == pytest.approx(expected, rel=1e-5)


def test_the_stft_distance_in_single_precision() -> None:
    """`ScalarScores` takes float32 where `mrstft` takes float64; nobody can tell."""
    references = noise(2, 2, 30_000) * np.array([0.3, 1e-5])[:, None, None]
    estimates = 0.9 * references + 0.05 * references[::-1]
    scores = ScalarScores()
    scores.add(references, estimates)
    found, wanted = scores.result().mrstft, mrstft(references, estimates)
    assert found == pytest.approx(wanted, rel=1e-6)
    assert list(found) != list(np.asarray(wanted))
