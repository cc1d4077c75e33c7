"""The page with the curves of a run: one HTML file that works offline, like the reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stemsplit.audio.atomic import write_text
from stemsplit.errors import printable
from stemsplit.evaluation.report.content import STEM_COLOURS, figure
from stemsplit.evaluation.report.line_chart import Line, draw_lines
from stemsplit.evaluation.report.template import fill
from stemsplit.training.run_folder import RunFolder, to_toml

#: The most points of a curve; more are averaged.
POINTS = 500


def write_page(
    folder: RunFolder,
    facts: Mapping[str, Any],
    progress: Mapping[str, Any],
    figures: Sequence[Mapping[str, Any]],
) -> None:
    """Write the page of the run in ``folder``, of its ``figures`` so far.

    ``facts`` are what the run is made from, ``progress`` is that of its state. Raises
    ``OutputError``, or ``ResourceError`` for a full disk.
    """
    recipe, best = facts["recipe"], progress["best"]
    write_text(
        folder.page,
        fill(
            "training.html",
            title=printable(folder.root.resolve().name),
            facts=[
                recipe["architecture"],
                f"{progress['step']} of {recipe['steps']} steps",
                f"{len(facts['train'])} songs to train on, {len(facts['validate'])} to validate on",
            ],
            lede=f"SDR {figure(best['score'])} dB" if best else "",
            remarks=[
                printable(f"Step {line['failed'] + 1} failed: {line['reason']}; back to step "
                          f"{line['step']}, with other batches.")
                for line in figures if "failed" in line
            ],
            scores=score_rows(best, progress["unprocessed"]) if best else [],
            best_step=best["step"] if best else None,
            charts=[chart for chart in _charts(figures, progress) if chart],
            settings=_settings(facts),
            recipe=to_toml(recipe),
        ),
    )  # fmt: skip


def score_rows(best: Mapping[str, Any], unprocessed: Mapping[str, float]) -> list[dict[str, str]]:
    """Return the rows of the table of scores: each source, and their mean."""
    rows = {
        name: (score, unprocessed.get(name, float("nan"))) for name, score in best["scores"].items()
    }
    if len(rows) > 1:
        first, second = (float(np.mean(column)) for column in zip(*rows.values(), strict=True))
        rows["mean"] = first, second
    return [
        {
            "name": printable(name),
            "best": figure(score),
            "mixture": figure(mixture),
            "gain": figure(score - mixture),
        }
        for name, (score, mixture) in rows.items()
    ]


def _settings(facts: Mapping[str, Any]) -> dict[str, str]:
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    shown = {
        "data": printable(", ".join(facts["data"])),
        "digest of the data": facts["digest"],
        "made with": versions,
    }
    for key, name in (("start", "continues"), ("licence", "initial weights")):
        if facts[key]:
            shown[name] = printable(facts[key])
    return shown


def _charts(
    figures: Sequence[Mapping[str, Any]], progress: Mapping[str, Any]
) -> list[dict[str, Any] | None]:
    """Return the charts of scores, losses, and the speed of the run."""
    names = list((progress["unprocessed"] or {}).keys())
    sdr = {"mean": _points(figures, "score")}
    sdr |= {name: _points(figures, f"sdr/{name}") for name in names}
    colours = {"mean": None} | {name: n % STEM_COLOURS for n, name in enumerate(names)}
    terms = sorted({key for line in figures for key in line if key.startswith("loss/")})
    losses = {"loss": _points(figures, "loss")}
    if len(terms) > 1:
        losses |= {key.removeprefix("loss/"): _points(figures, key) for key in terms}
    best = progress["best"]
    return [
        _chart("Global SDR", "dB; the line marks the best weights", sdr, colours,
               mark=best["step"] if best else None),
        _chart("Loss", "of the batches, averaged", losses, _numbered(losses), logarithmic=True),
        _chart("Learning rate", "", {"rate": _points(figures, "lr")}, {"rate": None},
               logarithmic=True),
        _chart("Gradients", "norm before clipping", {"norm": _points(figures, "norm")},
               {"norm": None}, logarithmic=True),
        _chart("Waiting for data", "share of the time", {"share": _points(figures, "waiting")},
               {"share": None}),
    ]  # fmt: skip


def _numbered(lines: Mapping[str, Any]) -> dict[str, int | None]:
    return {name: number - 1 if number else None for number, name in enumerate(lines)}


def _points(figures: Sequence[Mapping[str, Any]], key: str) -> tuple[list[float], list[float]]:
    """Return steps and values of ``key``, averaged to at most `POINTS`."""
    found = [(line["step"], line[key]) for line in figures if key in line]
    if not found:
        return [], []
    parts = np.array_split(np.array(found, float), min(len(found), POINTS))
    means = [part.mean(0) for part in parts]
    return [float(step) for step, _ in means], [float(value) for _, value in means]


def _chart(
    title: str,
    note: str,
    lines: Mapping[str, tuple[list[float], list[float]]],
    colours: Mapping[str, int | None],
    *,
    logarithmic: bool = False,
    mark: float | None = None,
) -> dict[str, Any] | None:
    """Return the content of a chart; None without values."""
    drawn = [Line(*points, colours[name]) for name, points in lines.items() if points[0]]
    if not drawn:
        return None
    legend = {printable(name): colours[name] for name, points in lines.items() if points[0]}
    return {
        "title": title,
        "note": note,
        "legend": legend if len(legend) > 1 else {},
        "svg": draw_lines(drawn, logarithmic=logarithmic, mark=mark),
    }
