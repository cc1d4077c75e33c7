"""BSS Eval against closed forms, against itself by blocks, and against museval."""

import math
from pathlib import Path

import museval_package
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scored_stems import noise

from stemsplit.evaluation import BssEval, bss_eval_v3, bss_eval_v4

RATE = 4_000
FIELDS = ("sdr", "isr", "sir", "sar")


@pytest.fixture(scope="module")
def stems() -> np.ndarray:
    """Two stereo stems ``(S, C, T)`` of two seconds and a bit."""
    return noise(2, 2, 2 * RATE + 700)


def score(references: np.ndarray, estimates: np.ndarray, **options: float):
    return bss_eval_v4(references, estimates, RATE, **options)


def test_a_scaled_copy_is_filtered_and_nothing_else(stems: np.ndarray) -> None:
    scores = score(stems, 0.5 * stems)
    assert scores.sdr == pytest.approx(20 * np.log10(2), abs=1e-9)
    assert scores.isr == pytest.approx(20 * np.log10(2), abs=1e-6)
    assert scores.sir.min() > 100
    assert scores.sar.min() > 100
    assert scores.sdr.shape == (2, 2)  # 1.175 s of rest are one frame and 0.175 s that are dropped
    assert scores.unreproducible == ()


def test_a_perfect_copy_has_no_distortion(stems: np.ndarray) -> None:
    scores = score(stems, stems)
    assert (scores.sdr == np.inf).all()
    assert min(scores.isr.min(), scores.sir.min(), scores.sar.min()) > 100


@pytest.mark.parametrize("level", [0, 10, 30])
def test_noise_that_no_reference_explains_is_artifacts(level: float) -> None:
    references = noise(2, 1, 40_000)
    estimates = references + 10 ** (-level / 20) * noise(2, 1, 40_000, seed=1)
    scores = score(references, estimates, window=10.0)
    assert scores.sdr == pytest.approx(level, abs=0.2)
    # Filters of 2 x 512 taps explain 1,024 of 40,000 samples of any noise.
    assert scores.sar == pytest.approx(
        10 * np.log10((1 + 10 ** (-level / 10) * 0.0256) / (10 ** (-level / 10) * 0.9744)), abs=0.1
    )


def test_leakage_is_interference(stems: np.ndarray) -> None:
    scores = score(stems, stems + 0.1 * stems[::-1])
    assert scores.sdr == pytest.approx(20, abs=0.5)
    assert scores.sir == pytest.approx(20, abs=0.7)
    assert scores.sar.min() > 100


def test_a_filter_within_512_taps_is_not_an_artifact() -> None:
    references = noise(2, 1, 20_000)
    references[..., -600:] = 0  # so that nothing of the filtered stem is cut off
    taps = noise(500, seed=3) * 0.05
    estimates = np.stack([[np.convolve(stem[0], taps)[:20_000]] for stem in references])
    scores = score(references, estimates, window=5.0)
    assert min(scores.sir.min(), scores.sar.min()) > 100
    longer = np.roll(estimates, 50, axis=-1)  # now its last taps are the 550th
    assert score(references, longer, window=5.0).sar.max() < 20


def test_a_silent_frame_is_nan_for_all_sources(stems: np.ndarray) -> None:
    estimates = 0.9 * stems
    estimates[1, :, :RATE] = 0
    scores = score(stems, estimates)
    for field in FIELDS:
        assert np.isnan(getattr(scores, field)).tolist() == [[True, False]] * 2
    inverse = stems.copy()
    inverse[0, 1, RATE : 2 * RATE] = -inverse[0, 0, RATE : 2 * RATE]
    assert np.isnan(score(inverse, 0.9 * stems).sdr).tolist() == [[False, True]] * 2


def test_a_stem_that_is_silent_throughout_is_nan(stems: np.ndarray) -> None:
    references = stems.copy()
    references[0] = 0
    assert np.isnan(score(references, stems).sar).all()
    whole = bss_eval_v3(references, stems)
    assert np.isnan(whole.sdr).tolist() == [[True], [False]]


def test_singular_references_have_scores(stems: np.ndarray) -> None:
    mono = stems.copy()
    mono[:, 1] = 0.7 * mono[:, 0]
    scores = score(mono, mono + 0.1 * stems)
    assert all(np.isfinite(getattr(scores, field)).all() for field in FIELDS)
    twins = np.stack([stems[0], stems[0]])
    scores = score(twins, twins + 0.1 * stems)
    assert scores.sar[0].min() > 100  # all of it is the twin's
    assert scores.sar[1] == pytest.approx([20.4, 20.4], abs=0.1)
    assert scores.sir.min() > 100  # neither adds to the other


def test_a_single_source_has_no_interference(stems: np.ndarray) -> None:
    scores = score(stems[:1], stems[:1] + 0.1 * stems[1:])
    assert (scores.sir == np.inf).all()
    assert np.isfinite(scores.sar).all()


def limit(stems: np.ndarray) -> np.ndarray:
    """Return ``stems`` with nothing above 0.6 of their band: below -150 dB of what is there."""
    times = np.arange(-128, 129)
    low_pass = 0.6 * np.sinc(0.6 * times) * np.kaiser(257, 16)
    return np.apply_along_axis(np.convolve, -1, stems, low_pass)


def test_scores_that_rounding_decides_are_marked(stems: np.ndarray) -> None:
    limited = limit(stems)
    estimates = limited + 0.1 * noise(*limited.shape, seed=4)
    estimates[1, :, :RATE] = 0
    scores = score(limited, estimates)
    assert "sir" in scores.unreproducible and "sdr" not in scores.unreproducible
    for field in FIELDS:
        assert np.isnan(getattr(scores, field)).tolist() == [[True, False]] * 2
    assert scores.sdr[:, 1] == pytest.approx([20 - 10 * np.log10(1 / 0.6)] * 2, abs=0.3)
    quantised = np.round(limited * 3_000) / 32_768  # as a CD has it: noise in every band
    assert not score(quantised, 0.9 * quantised).unreproducible
    both = bss_eval_v4(np.stack([quantised, limited]), np.stack([quantised, estimates]), RATE)
    assert both.unreproducible == scores.unreproducible
    np.testing.assert_array_equal(both.sar[1], scores.sar)


def test_a_frame_of_nothing_but_errors_hides_no_rounding() -> None:
    """Where SIR is -inf with either rounding, the difference of the two is NaN."""
    references, estimates = np.zeros((2, 2, 1, RATE))
    references[0, 0, 10] = estimates[0, 0, 3_000] = 1.0
    references[1, 0, 20] = estimates[1, 0, 20] = 1.0
    evaluation = BssEval(2, 1, RATE)
    for take in (evaluation.correlate, evaluation.score):
        take(torch.from_numpy(references), torch.from_numpy(estimates))
    scores = evaluation.result()
    assert np.isneginf(scores.sir).any() or np.isneginf(scores.sar).any()
    assert not evaluation._shift.isnan().any()


def test_batches_and_tensors_are_the_same(stems: np.ndarray) -> None:
    estimates = 0.8 * stems + 0.1 * noise(*stems.shape, seed=2)
    alone = score(stems, estimates)
    batch = bss_eval_v4(
        torch.from_numpy(np.stack([stems, stems[::-1]])),
        torch.from_numpy(np.stack([estimates, estimates[::-1]])),
        RATE,
    )
    for field in FIELDS:
        assert getattr(batch, field).shape == (2, 2, 2)
        np.testing.assert_allclose(getattr(batch, field)[0], getattr(alone, field), atol=1e-9)
        np.testing.assert_allclose(getattr(batch, field)[1, ::-1], getattr(alone, field), atol=1e-6)


@pytest.mark.parametrize("evaluate", [bss_eval_v3, bss_eval_v4])
def test_the_deprecated_keyword_is_understood(stems: np.ndarray, evaluate) -> None:
    turned = stems.swapaxes(1, 2)
    for layout, waves in (("STC", turned), ("SCT", stems)):
        with pytest.warns(DeprecationWarning, match="removed in stemsplit 0.2") as warned:
            found = evaluate(waves, 0.5 * waves, layout=layout)
        assert warned[0].filename == __file__
        np.testing.assert_array_equal(found.sdr, evaluate(stems, 0.5 * stems).sdr)


@settings(max_examples=8, deadline=None)
@given(
    frames=st.integers(1, 3 * RATE),
    block=st.integers(50, 5_000),
    window=st.sampled_from([0.1, 0.5, 1.0]),
    hop=st.sampled_from([0.2, 0.5, 1.0, 1.3]),
)
def test_blocks_give_what_the_whole_gives(
    frames: int, block: int, window: float, hop: float
) -> None:
    references = torch.from_numpy(noise(2, 1, frames))
    estimates = references + 0.1 * torch.from_numpy(noise(2, 1, frames, seed=1))
    whole = bss_eval_v4(references, estimates, RATE, window=window, hop=hop)
    streamed = BssEval(2, 1, RATE, window=window, hop=hop)
    for take in (streamed.correlate, streamed.score):
        for pieces in zip(references.split(block, -1), estimates.split(block, -1), strict=True):
            take(*pieces)
    scores = streamed.result()
    reproducible = [field for field in FIELDS if field not in scores.unreproducible]
    for room in (1, 3 * 40_000, math.inf):  # of none, some or all frames
        kept = BssEval(2, 1, RATE, window=window, hop=hop, room=room)
        for take in (kept.correlate, kept.score):
            for pieces in zip(references.split(block, -1), estimates.split(block, -1), strict=True):
                take(*pieces)
        for field in reproducible:
            np.testing.assert_allclose(
                getattr(kept.result(), field), getattr(scores, field), atol=1e-6
            )
    length, step = round(window * RATE), round(hop * RATE)
    assert scores.sdr.shape[1] == (1 if length >= frames else (frames - length) // step + 1)
    for field in reproducible:
        np.testing.assert_allclose(getattr(scores, field), getattr(whole, field), atol=1e-6)


def test_the_whole_song_as_one_frame(stems: np.ndarray) -> None:
    """The sums of version 3 are those of version 4 with one window over everything."""
    estimates = 0.8 * stems + 0.1 * stems[::-1] + 0.1 * noise(*stems.shape, seed=2)
    one = score(stems, estimates, window=60.0)
    images = bss_eval_v3(stems, estimates)
    for field in FIELDS:
        np.testing.assert_allclose(getattr(images, field), getattr(one, field), atol=1e-6)
    sources = bss_eval_v3(stems, 0.5 * stems, mode="sources")
    assert sources.sdr.min() > 100  # a filter is forgiven
    assert np.isnan(sources.isr).all()


@pytest.mark.parametrize(
    ("references", "estimates", "message"),
    [
        (np.ones((2, 2, 9)), np.ones((2, 2, 8)), "differ in shape"),
        (np.ones((2, 2, 9)), np.ones((2, 1, 9)), "differ in shape"),
        (np.ones((2, 2, 0)), np.ones((2, 2, 0)), "no samples"),
        (np.ones((2, 9)), np.ones((2, 9)), "expected sources"),
        (np.full((1, 1, 9), np.nan), np.ones((1, 1, 9)), "the reference has samples"),
        (np.ones((1, 1, 9)), np.full((1, 1, 9), np.inf), "the estimate has samples"),
    ],
)
def test_what_cannot_be_scored(references: np.ndarray, estimates: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        score(references, estimates)


def test_bad_options_are_refused(stems: np.ndarray) -> None:
    with pytest.raises(ValueError, match="samples before channels: swap its last two axes"):
        score(stems.swapaxes(1, 2), stems.swapaxes(1, 2))
    with pytest.raises(ValueError, match="layout 'TCS'"):
        bss_eval_v4(stems, stems, layout="TCS")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="mode 'both'"):
        bss_eval_v3(stems, stems, mode="both")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="a sample or more"):
        score(stems, stems, hop=0.0)


def test_one_pass_is_enough_if_all_sums_are_kept(stems: np.ndarray) -> None:
    truth = torch.from_numpy(stems)
    kept = BssEval(*stems.shape[:2], RATE, room=math.inf)
    kept.correlate(truth, 0.5 * truth)
    assert kept.complete
    np.testing.assert_array_equal(kept.result().sdr, score(stems, 0.5 * stems).sdr)
    for options in ({"room": 1}, {"room": math.inf, "hop": 0.5}):
        again = BssEval(*stems.shape[:2], RATE, **options)
        again.correlate(truth, 0.5 * truth)
        assert not again.complete


def test_torch_keeps_its_threads(stems: np.ndarray) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        score(stems, stems)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_the_second_pass_must_be_as_long_as_the_first() -> None:
    evaluation = BssEval(1, 1, RATE)
    wave = torch.from_numpy(noise(1, 1, 100))
    evaluation.correlate(wave, wave)
    evaluation.score(wave[..., 1:], wave[..., 1:])
    with pytest.raises(ValueError, match="100 samples in the first pass, 99 in the second"):
        evaluation.result()


@pytest.mark.network
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("song", ["mdb_rock", "eif_lithium", "mdb_country1_rawmix"])
def test_museval_gives_the_same(song: str, oracles: Path) -> None:
    if not (museval_package.SONGS / song).is_dir():
        pytest.skip("the songs with true stems are not here")
    references = museval_package.read_song(song)
    estimates = museval_package.perturb(references)
    theirs = museval_package.load_museval(oracles).bss_eval(
        references, estimates, window=44_100, hop=44_100, compute_permutation=False
    )
    ours = bss_eval_v4(references.swapaxes(1, 2), estimates.swapaxes(1, 2))
    assert not ours.unreproducible
    for field, values in zip(FIELDS, theirs[:4], strict=True):
        np.testing.assert_allclose(getattr(ours, field), values, atol=1e-3, err_msg=field)


@pytest.mark.network
@pytest.mark.filterwarnings("ignore")
def test_museval_gives_the_same_of_a_stem_next_to_silent(stems: np.ndarray, oracles: Path) -> None:
    """What it adds to the energies counts there: without it ISR is 7 dB off."""
    spectrum = np.fft.rfft(stems)
    spectrum[..., 3 * spectrum.shape[-1] // 4 :] *= 1e-5
    references = np.fft.irfft(spectrum, stems.shape[-1]).swapaxes(1, 2)
    references[0] *= 1e-5
    estimates = museval_package.perturb(references)
    theirs = museval_package.load_museval(oracles).bss_eval(
        references, estimates, window=RATE, hop=RATE, compute_permutation=False
    )
    ours = bss_eval_v4(references.swapaxes(1, 2), estimates.swapaxes(1, 2), RATE)
    for field, values in zip(FIELDS, theirs[:4], strict=True):
        np.testing.assert_allclose(getattr(ours, field), values, atol=1e-2, err_msg=field)


@pytest.mark.network
@pytest.mark.filterwarnings("ignore")
def test_mir_eval_gives_the_same(oracles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(oracles))
    from mir_eval import separation

    references = noise(2, 1, 20_000)
    estimates = 0.8 * references + 0.1 * references[::-1] + 0.1 * noise(2, 1, 20_000, seed=1)
    ours = bss_eval_v3(references, estimates, mode="sources")
    theirs = separation.bss_eval_sources(references[:, 0], estimates[:, 0], False)
    for field, values in zip(("sdr", "sir", "sar"), theirs[:3], strict=True):
        np.testing.assert_allclose(getattr(ours, field)[:, 0], values, atol=1e-6)
    ours = bss_eval_v3(references, estimates)
    theirs = separation.bss_eval_images(references.swapaxes(1, 2), estimates.swapaxes(1, 2), False)
    for field, values in zip(FIELDS, theirs[:4], strict=True):
        np.testing.assert_allclose(getattr(ours, field)[:, 0], values, atol=1e-6)
