"""Generate the table of models in the README, between its two ``<!-- models -->`` marks."""

from __future__ import annotations

from stemsplit.checkpoints.entries import Model
from stemsplit.checkpoints.registry import SMALL, list_groups
from stemsplit.cli.model_facts import megabytes

MARK = "<!-- models -->\n"


def render_readme(text: str) -> str:
    """Return ``text`` with the table of models between its marks; unchanged without marks."""
    before, mark, rest = text.partition(MARK)
    _, second, after = rest.partition(MARK)
    return before + mark + _table() + second + after if second else text


def _table() -> str:
    """Return the table: models by group, without members of ensembles and models for testing."""
    lines = [
        "| model | stems | published SDR in dB | MB | licence of the weights | commercial use |",
        "|---|---|---|---|---|---|",
    ]
    groups = list_groups()
    members = {member for models in groups.values() for each in models for member in each.members}
    for group, models in groups.items():
        if group == SMALL:
            continue
        lines.append(f"| **{group}** | | | | | |")
        lines += [_row(model) for model in models if model.name not in members]
    return "\n".join(lines) + "\n"


def _row(model: Model) -> str:
    licence = "none needed" if model.without_weights else model.licence
    published = f"{_score(model)}, {model.scores[0].dataset}" if model.scores else ""
    cells = [
        *(f"`{model.name}`", ", ".join(model.stems), published, megabytes(model)),
        *(licence, model.commercial),
    ]
    return f"| {' | '.join(cells)} |"


def _score(model: Model) -> str:
    """Return the mean of the first published scores in dB with their metric, or an empty text."""
    if not model.scores:
        return ""
    scores = model.scores[0]
    if scores.mean is not None:
        return f"{scores.mean:.2f} {scores.metric}"
    values = scores.values.values()
    stems = "1 stem" if len(values) == 1 else f"{len(values)} stems"
    part = "" if len(values) == len(model.stems) else f" of {stems}"
    return f"{sum(values) / len(values):.2f} {scores.metric}{part}"
