"""The models of the registry, for the man page of ``stemsplit models``."""

from __future__ import annotations

from collections.abc import Iterator

from stemsplit.checkpoints.choosing import commercial_of, is_hidden
from stemsplit.checkpoints.entries import Model, Scores
from stemsplit.checkpoints.registry import list_groups
from stemsplit.cli.model_facts import megabytes, values_of


def list_entries() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yield each group with the names and descriptions of its models.

    Members of ensembles and models for testing are omitted, as in ``models list``. The last group
    lists the sources of the scores, by the numbers that follow scores.
    """
    sources: dict[str, int] = {}
    for group, models in list_groups().items():
        entries = [(m.name, _describe(m, sources)) for m in models if not is_hidden(m)]
        if entries:
            yield group, entries
    yield "Sources of scores", [(f"[{number}]", source) for source, number in sources.items()]


def _describe(model: Model, sources: dict[str, int]) -> str:
    """Return a description of ``model``; ``sources`` numbers the sources of its scores."""
    sentences = [f"{model.description}.", f"Stems: {', '.join(model.stems)}."]
    sentences += [f"{_score(scores, sources)}." for scores in model.scores]
    if size := megabytes(model):
        sentences.append(f"Size: {size} MB.")
    licence = "none needed" if model.without_weights else model.licence
    sentences.append(f"Licence: {licence}; commercial use: {commercial_of(model)}.")
    return " ".join(sentences)


def _score(scores: Scores, sources: dict[str, int]) -> str:
    number = sources.setdefault(scores.source, len(sources) + 1)
    return f"{scores.metric} on {scores.dataset}: {values_of(scores)} [{number}]"
