"""Published scores on MUSDB18, of checkpoints in the registry and from papers."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Literal, TypeAlias

from stemsplit.checkpoints.registry import list_models

#: cSDR: BSS Eval v4, median over frames, then over songs. uSDR: global SDR, mean over songs.
Metric: TypeAlias = Literal["cSDR", "uSDR"]
METRICS: tuple[Metric, ...] = ("cSDR", "uSDR")
DATASET = "MUSDB18"


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """Scores of one method on the test songs of MUSDB18 or MUSDB18-HQ, dB by stem."""

    method: str
    metric: Metric
    source: str
    values: Mapping[str, float]


def published_scores(metric: Metric) -> list[Published]:
    """Return the scores published in ``metric``: of models in the registry, then from papers.

    Raises ``UsageError`` if the file ``$STEMSPLIT_REGISTRY`` is missing or invalid.
    """
    found = [
        Published(method=model.name, metric=metric, source=scores.source, values=scores.values)
        for model in list_models()
        for scores in model.scores
        if scores.metric == metric and scores.dataset.startswith(DATASET)
    ]
    return found + [entry for entry in _read_papers() if entry.metric == metric]


def _read_papers() -> list[Published]:
    table = tomllib.loads(
        resources.files(__package__).joinpath("published.toml").read_text("utf-8")
    )
    return [
        Published(
            method=f"{method['name']}{', more songs' if method.get('more') else ''}",
            metric="cSDR",
            source=method["source"],
            values=method["values"],
        )
        for method in table["method"]
    ]
