"""Options of an evaluation that are refused."""

import math

import pytest

from stemsplit.errors import UsageError
from stemsplit.evaluation.bss_eval_options import BssEvalOptions


@pytest.mark.parametrize("name", ["window", "hop"])
@pytest.mark.parametrize("seconds", [0.0, -1.0, math.inf, math.nan])
def test_frames_have_a_finite_length(name: str, seconds: float) -> None:
    with pytest.raises(UsageError, match=f"invalid {name} of"):
        BssEvalOptions(**{name: seconds})


def test_another_name_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown BSS Eval 'mine'"):
        BssEvalOptions(implementation="mine")  # type: ignore[arg-type]
