"""Arrays, tensors and mappings of stems: all ways to give them, and those that are refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scored_stems
import torch
from scored_stems import ESTIMATES, NAMES, RATE, REFERENCES, figures, in_memory

from stemsplit.errors import UsageError
from stemsplit.evaluation import score, score_batch


def test_all_ways_to_give_arrays_are_one() -> None:
    wanted = figures(in_memory())
    tensors = [torch.from_numpy(waves).requires_grad_() for waves in (ESTIMATES, REFERENCES)]
    assert figures(in_memory(*tensors)) == wanted
    mappings = [dict(zip(NAMES, waves, strict=True)) for waves in (ESTIMATES, REFERENCES)]
    assert figures(score(mappings[0], references=mappings[1], sample_rate=RATE)) == wanted
    assert list(figures(in_memory(names=None))) == ["source 1", "source 2"]


def test_a_batch_is_song_by_song() -> None:
    estimates, references = np.stack([ESTIMATES, REFERENCES]), np.stack([REFERENCES] * 2)
    mixture = references.sum(1)
    options = {"sample_rate": RATE, "names": NAMES}
    first, second = score_batch(estimates, references=references, mixture=mixture, **options)
    assert figures(first) == figures(in_memory())
    assert second.scores[0].si_sdr == math.inf
    assert second.null_residual == -math.inf or second.null_residual < -140


def test_the_deprecated_keyword_is_understood() -> None:
    mixture = REFERENCES.sum(0)
    wanted = in_memory(mixture=mixture)
    turned = [waves.swapaxes(-1, -2) for waves in (ESTIMATES, REFERENCES, mixture)]
    with pytest.warns(DeprecationWarning, match=r"arrays are \(S, C, T\)") as warned:
        found = in_memory(*turned[:2], mixture=turned[2], layout="STC")
    assert warned[0].filename == scored_stems.__file__  # where score is called
    assert figures(found) == figures(wanted) and found.null_residual == wanted.null_residual
    batch = [waves[None] for waves in turned]
    with pytest.warns(DeprecationWarning) as warned:
        [found] = score_batch(
            batch[0], references=batch[1], sample_rate=RATE, names=NAMES, layout="STC"
        )
    assert warned[0].filename == __file__ and figures(found) == figures(wanted)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"references": REFERENCES[:1]}, "differ in shape"),
        ({"references": REFERENCES[..., :-1]}, "differ in shape"),
        ({"references": {"vocals": REFERENCES[0]}}, "both be files, or both be arrays"),
        ({"references": "true"}, "both be files, or both be arrays"),
        ({"estimates": ESTIMATES[0]}, r"estimates of a song must be \(S, C, T\), not \(2, 16000\)"),
        (
            {"estimates": ESTIMATES.swapaxes(1, 2), "references": REFERENCES.swapaxes(1, 2)},
            "samples before channels: swap its last two axes",
        ),
        ({"names": ["vocals"]}, "1 names do not match 2 sources"),
        ({"names": ["vocals", "vocals"]}, "1 names do not match 2 sources"),
        ({"layout": "TSC"}, "neither 'STC' nor 'SCT'"),
        ({"mixture": REFERENCES[0, :, 1:]}, "must have one shape"),
        ({"estimates": ESTIMATES * np.nan}, "contains NaN or infinity"),
        ({"estimates": ESTIMATES[..., :0], "references": None}, "must have one shape"),
    ],
)
def test_arrays_that_do_not_fit_together(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        in_memory(**changed)
    with pytest.raises(UsageError, match="no estimate has the name of a reference"):
        score({"vocals": ESTIMATES[0]}, references={"bass": REFERENCES[0]})
