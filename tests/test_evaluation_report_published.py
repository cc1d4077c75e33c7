"""Published scores."""

from __future__ import annotations

import pytest

from stemsplit.checkpoints.registry import list_models
from stemsplit.evaluation.report.published import published_scores


def test_published_scores_name_their_sources_and_no_method_twice() -> None:
    for metric in ("cSDR", "uSDR"):
        found = published_scores(metric)
        assert len(found) > 5
        names = [entry.method for entry in found]
        assert len(set(names)) == len(names)
        for entry in found:
            assert entry.source and entry.metric == metric
            assert all(0 < value < 15 for value in entry.values.values()), entry
    by_name = {entry.method: entry for entry in published_scores("cSDR")}
    assert by_name["BS-RoFormer, 12 layers, more songs"].values["vocals"] == 12.72
    assert by_name["D3Net"].values["drums"] == 7.01
    assert by_name["D3Net, more songs"].values["drums"] == 7.36
    first = by_name["demucs_v1"]  # the mean is what its authors print as "All"
    assert first.source.endswith("1911.13254v1")
    assert sum(first.values.values()) / 4 == pytest.approx(5.58)
    registered = next(model for model in list_models() if model.name == "htdemucs_ft")
    assert by_name["htdemucs_ft"].values == registered.scores[0].values
