"""Arrays, tensors and mappings of stems: all ways to give them, and those that are refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scored_stems import ESTIMATES, NAMES, RATE, REFERENCES, figures, in_memory

from stemsplit.errors import UsageError
from stemsplit.evaluation import score, score_batch


def test_all_ways_to_give_arrays_are_one() -> None:
    wanted = figures(in_memory())
    turned = [waves.swapaxes(1, 2) for waves in (ESTIMATES, REFERENCES)]
    assert figures(score(turned[0], references=turned[1], sample_rate=RATE, names=NAMES)) == wanted
    tensors = [torch.from_numpy(waves).requires_grad_() for waves in (ESTIMATES, REFERENCES)]
    assert figures(in_memory(*tensors)) == wanted
    mappings = [dict(zip(NAMES, waves, strict=True)) for waves in (ESTIMATES, REFERENCES)]
    assert figures(score(mappings[0], references=mappings[1], sample_rate=RATE)) == wanted
    assert list(figures(in_memory(names=None))) == ["source 1", "source 2"]


@pytest.mark.parametrize("layout", ["STC", "SCT"])
def test_a_batch_is_song_by_song(layout: Any) -> None:
    estimates, references = np.stack([ESTIMATES, REFERENCES]), np.stack([REFERENCES] * 2)
    mixture = references.sum(1)
    options = {"sample_rate": RATE, "layout": layout, "names": NAMES}
    if layout == "STC":
        estimates, references, mixture = (
            each.swapaxes(-1, -2) for each in (estimates, references, mixture)
        )
    first, second = score_batch(estimates, references=references, mixture=mixture, **options)
    assert figures(first) == figures(in_memory())
    assert second.scores[0].si_sdr == math.inf
    assert second.null_residual == -math.inf or second.null_residual < -140


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"references": REFERENCES[:1]}, "differ in shape"),
        ({"references": REFERENCES[..., :-1]}, "differ in shape"),
        ({"references": {"vocals": REFERENCES[0]}}, "both be files, or both be arrays"),
        ({"references": "true"}, "both be files, or both be arrays"),
        ({"estimates": ESTIMATES[0]}, "the dimensions are not those of the layout"),
        ({"names": ["vocals"]}, "1 names do not fit 2 sources"),
        ({"names": ["vocals", "vocals"]}, "1 names do not fit 2 sources"),
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
