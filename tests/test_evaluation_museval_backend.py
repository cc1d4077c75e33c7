"""BSS Eval by museval: found, called as it wants to be, and with its own values."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import museval_package
import numpy as np
import pytest
import soundfile

from stemsplit.data.layouts import SongStems
from stemsplit.errors import ExitCode, InputError, ResourceError
from stemsplit.evaluation import museval_backend, score, score_batch
from stemsplit.evaluation.bss_eval import METRICS
from stemsplit.evaluation.bss_eval_options import BssEvalOptions
from stemsplit.evaluation.scoring import BLOCK, score_sounds
from stemsplit.evaluation.sounds import find_sounds
from stemsplit.evaluation.steps import Steps

RATE = 4_000
NAMES = ("vocals", "bass")


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


REFERENCES = noise(2, 5 * RATE + 700, 2)  # (S, T, C), more than one block
ESTIMATES = 0.9 * REFERENCES + 0.1 * noise(2, 5 * RATE + 700, 2, seed=1)


def by_museval(
    estimates: np.ndarray = ESTIMATES, references: np.ndarray = REFERENCES, **options: Any
) -> Any:
    options = {"sample_rate": RATE, "bss_eval": "museval"} | options
    return score(turn(estimates), references=turn(references), **options)


def turn(stems: np.ndarray) -> np.ndarray:
    """Return stems of museval, ``(S, T, C)``, in our order of axes, ``(S, C, T)``."""
    return stems.swapaxes(1, 2)


# --- Finding it ----------------------------------------------------------------------------------


@pytest.fixture
def imitation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that passes for museval 9.8, and can be found."""
    folder = museval_package.write_imitation(tmp_path / "site")
    monkeypatch.syspath_prepend(folder)
    return folder


def test_it_is_loaded_without_the_rest_of_its_package(imitation: Path) -> None:
    found = by_museval(names=NAMES)
    assert found.bss_eval == "museval 9.8"
    for stem in found.scores:
        frames = [getattr(stem, metric).tolist() for metric in METRICS]
        assert frames == [[1.0] * 5, [2.0] * 5, [3.0] * 5, [4.0] * 5]
        assert stem.global_sdr > 10  # all other figures are our own


@pytest.mark.parametrize("folder", [True, False])
def test_where_it_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: bool
) -> None:
    if folder:  # a folder that happens to have this name is not the package
        (tmp_path / "museval").mkdir()
        monkeypatch.setattr(sys, "path", [str(tmp_path)])
    else:
        monkeypatch.setitem(sys.modules, "museval", None)
    for ask in (by_museval, lambda: BssEvalOptions(implementation="museval")):
        with pytest.raises(ResourceError, match="museval is not installed") as raised:
            ask()
        assert raised.value.exit_code == ExitCode.ENVIRONMENT
        assert raised.value.hint is not None and "pip install museval" in raised.value.hint


def test_where_it_cannot_be_imported(imitation: Path) -> None:
    (imitation / "museval" / "metrics.py").write_text("import nosuch_scipy")
    with pytest.raises(ResourceError, match="cannot be imported: No module named 'nosuch_scipy'"):
        BssEvalOptions(implementation="museval")
    (imitation / "museval" / "metrics.py").unlink()
    with pytest.raises(ResourceError, match=r"cannot be imported: .*metrics\.py"):
        BssEvalOptions(implementation="museval")


# --- Calling it ----------------------------------------------------------------------------------


@pytest.fixture
def calls(imitation: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The arguments of each call of museval while a test runs."""
    made: list[dict[str, Any]] = []
    original = museval_backend.load_metrics().bss_eval

    def bss_eval(references: np.ndarray, estimates: np.ndarray, **options: Any) -> Any:
        made.append({"references": references, "estimates": estimates, **options})
        return original(references, estimates, **options)

    monkeypatch.setattr(museval_backend, "load_metrics", lambda: SimpleNamespace(bss_eval=bss_eval))
    return made


def test_it_gets_the_whole_song_and_the_frames_in_samples(calls: list[dict[str, Any]]) -> None:
    found = by_museval(window=0.5, hop=0.25)
    [call] = calls
    np.testing.assert_array_equal(call["references"], REFERENCES)
    np.testing.assert_array_equal(call["estimates"], ESTIMATES)
    assert call["references"].dtype == call["estimates"].dtype == np.float64
    assert (call["window"], call["hop"], call["compute_permutation"]) == (2_000, 1_000, False)
    assert (found.window, found.hop, found.scores[0].sdr.shape) == (0.5, 0.25, (19,))
    batch = {"sample_rate": RATE, "bss_eval": "museval"}
    [again] = score_batch(turn(ESTIMATES)[None], references=turn(REFERENCES)[None], **batch)
    assert again.scores[1].sar.tolist() == [4.0] * 5


def test_of_files_it_gets_the_stems_with_a_reference(
    calls: list[dict[str, Any]], tmp_path: Path
) -> None:
    true, made = tmp_path / "true", tmp_path / "made"
    write_stems(true, bass=REFERENCES[1], drums=REFERENCES[0])
    write_stems(made, bass=ESTIMATES[1], drums=ESTIMATES[0], other=ESTIMATES[0])
    sounds = find_sounds(SongStems("made", made), SongStems("true", true))
    steps = Steps(score_sounds(sounds, BssEvalOptions(implementation="museval")))
    shares = [event.done / event.total for event in steps]
    assert len(REFERENCES[0]) > BLOCK
    assert shares[1::2] == pytest.approx([1 / 3, 2 / 3])
    assert shares[-1] == 1  # it counts as one pass of three
    [call] = calls
    order = [["drums", "bass"].index(stem.name) for stem in steps.result.scores]
    np.testing.assert_array_equal(call["references"], REFERENCES[order])
    np.testing.assert_array_equal(call["estimates"], ESTIMATES[order])


def write_stems(folder: Path, **stems: np.ndarray) -> None:
    folder.mkdir()
    for name, stem in stems.items():
        soundfile.write(folder / f"{name}.wav", stem, RATE, subtype="FLOAT")


def test_a_stem_that_is_silent_throughout_has_no_answer(calls: list[dict[str, Any]]) -> None:
    """museval would refuse the song."""
    silent = REFERENCES * np.array([0.0, 1.0])[:, None, None]
    found = by_museval(references=silent)
    assert calls == []
    assert all(np.isnan(stem.sir).all() for stem in found.scores)
    assert found.scores[1].global_sdr > 10


def test_without_references_it_is_not_asked(calls: list[dict[str, Any]]) -> None:
    found = score(turn(ESTIMATES), sample_rate=RATE, bss_eval="museval")
    assert (calls, found.scores, found.bss_eval) == ([], (), "own")


def test_what_rounding_decides_is_marked(calls: list[dict[str, Any]]) -> None:
    limited = limit(REFERENCES)
    found = by_museval(limited + 0.1 * noise(*limited.shape, seed=4), limited)
    assert len(calls) == 1
    assert "sir" in found.unreproducible and "sdr" not in found.unreproducible
    assert by_museval().unreproducible == ()


def limit(stems: np.ndarray) -> np.ndarray:
    """Return ``stems`` ``(S, T, C)`` without anything in the upper half of their band."""
    spectrum = np.fft.rfft(stems, axis=1)
    spectrum[:, spectrum.shape[1] // 2 :] = 0
    return np.fft.irfft(spectrum, stems.shape[1], axis=1).astype(np.float32)


def test_a_song_without_filters_is_an_error_that_says_so(
    imitation: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (imitation / "museval" / "metrics.py").write_text(
        """
import numpy as np

def bss_eval(*waves, **options):
    try:
        np.linalg.solve(np.zeros((2, 2)), np.ones(2))
    except np.linalg.linalg.LinAlgError:
        raise
"""
    )
    with pytest.raises(InputError, match="no filters for these references") as raised:
        by_museval()
    assert raised.value.hint is not None and "--bss-eval own" in raised.value.hint
    defect = "def bss_eval(*waves, **options):\n    waves[0].nosuch\n"
    (imitation / "museval" / "metrics.py").write_text(defect)
    with pytest.raises(AttributeError, match="nosuch"):
        by_museval()


# --- The package itself --------------------------------------------------------------------------


@pytest.mark.network
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("limited", [False, True])
@pytest.mark.parametrize("frames", [3_000, 17_000])
def test_its_values_are_kept_to_the_bit(
    frames: int, limited: bool, oracles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(oracles)
    references = noise(2, frames, 2)
    if limited:  # there its values depend on every detail of its steps
        references = limit(references)
    estimates = museval_package.perturb(references).astype(np.float32)
    found = by_museval(estimates, references)
    assert found.bss_eval == "museval 0.4.1"
    theirs = museval_package.load_museval(oracles).bss_eval(
        references.astype(np.float64),
        estimates.astype(np.float64),
        window=RATE,
        hop=RATE,
        compute_permutation=False,
    )
    for metric, values in zip(METRICS, theirs[:4], strict=True):
        ours = np.stack([getattr(stem, metric) for stem in found.scores])
        np.testing.assert_array_equal(ours, values, err_msg=metric)
