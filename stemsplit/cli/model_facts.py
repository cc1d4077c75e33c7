"""``stemsplit models show``: the facts about a model, as text and as JSON."""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stemsplit.cli import options
from stemsplit.cli.console import Console
from stemsplit.errors import ExitCode

if TYPE_CHECKING:
    from stemsplit.checkpoints.entries import Model, Scores


def show_(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of a model.")],
    json: options.Json = False,
) -> int:
    """Show all facts about a model."""
    from stemsplit.checkpoints.loading import conventions
    from stemsplit.checkpoints.registry import resolve

    console = Console(sys.stdout, sys.stderr, json=json)
    model = resolve(name)
    overlap, window = conventions(model)
    if json:
        console.record(record(model) | {"overlap": overlap, "window": window})
        return ExitCode.DONE
    facts = [
        *(("name", model.name), ("description", model.description)),
        ("stems", ", ".join(model.stems)),
        ("sample rate", f"{model.sample_rate} Hz"),
        ("channels", str(model.channels)),
        ("segment", f"{model.segment / model.sample_rate:.2f} s"),
        ("overlap", f"{overlap:.0%} of a segment"),
        ("window", window),
        *_costs(model),
        *_origin(model),
        ("size", f"{size} MB" if (size := megabytes(model)) else ""),
        ("here", _where(model)),
    ]
    known = [(fact, value) for fact, value in facts if value]
    width = max(len(fact) for fact, _ in known) + 1
    for fact, value in known:
        console.data(f"{f'{fact}:':<{width}}  {value}")
    return ExitCode.DONE


def _origin(model: Model) -> list[tuple[str, str]]:
    """Return the kind, licence, scores and sources of ``model``."""
    from stemsplit.checkpoints.registry import group_of

    return [
        ("group", group_of(model)),
        ("architecture", model.architecture or "ensemble"),
        ("members", ", ".join(model.members)),
        ("licence", model.licence),
        ("stated in", model.licence_source or ""),
        ("commercial use", model.commercial),
        ("note", model.licence_note or ""),
        ("training data", model.training_data),
        ("paper", model.paper or ""),
        *(("score", f"{values_of(scores)} ({source_of(scores)})") for scores in model.scores),
        *(
            ("source", f"{file.address}{'' if file.sha256 else ' (unverified)'}")
            for source in model.sources
            for file in source.files
        ),
    ]


def _costs(model: Model) -> list[tuple[str, str]]:
    """Return the receptive field and the operations of ``model``, if they are known."""
    from stemsplit.checkpoints.costs import cost_of

    cost = cost_of(model)
    if cost is None:
        return []
    whole = f"the whole segment ({model.segment / model.sample_rate:.2f} s)"

    def span(frames: int) -> str:
        return f"{frames / model.sample_rate:.2f} s" if frames < model.segment else whole

    facts = [
        ("receptive field", span(cost.reach)),
        ("look-ahead", span(cost.ahead)),
    ]
    if cost.operations:
        facts.append(("operations", f"{_giga(cost.operations)} multiply-adds per second of audio"))
    return facts


def _giga(count: int) -> str:
    return f"{float(f'{count / 1e9:.3g}'):g} billion"


def _where(model: Model) -> str:
    """Return whether ``model`` can be used offline, and whether its weights can be verified."""
    from stemsplit.checkpoints import cache

    if not any(network.sources for network in cache.networks(model)):
        return "built in"
    here = "no" if cache.missing(model) else "yes"
    return here if cache.is_verifiable(model) else f"{here}, unverified"


def megabytes(model: Model) -> str:
    """Return the download size of ``model`` in MB; empty if there is none or it is unknown."""
    from stemsplit.checkpoints.choosing import size_of

    size = size_of(model)
    return f"{size / 1e6:.0f}" if size else ""


def values_of(scores: Scores) -> str:
    """Return the published values: dB by stem, or the mean."""
    if scores.mean is not None:
        return f"mean {scores.mean:g} dB"
    return ", ".join(f"{stem} {value:g} dB" for stem, value in scores.values.items())


def source_of(scores: Scores) -> str:
    """Return the metric, the data set and the source of ``scores``."""
    return f"{scores.metric}, {scores.dataset}; {scores.source}"


def record(model: Model) -> dict[str, Any]:
    """Return ``model`` as the object that --json writes."""
    from stemsplit.checkpoints import cache
    from stemsplit.checkpoints.choosing import is_hidden
    from stemsplit.checkpoints.costs import cost_of
    from stemsplit.checkpoints.registry import group_of

    cost = cost_of(model)

    def seconds(frames: int) -> float:
        return round(min(frames, model.segment) / model.sample_rate, 4)

    return {
        "schema": 1,
        **dataclasses.asdict(model),
        "group": group_of(model),
        "here": not cache.missing(model),
        "verifiable": cache.is_verifiable(model),
        "hidden": is_hidden(model),
        "receptive_field": None if cost is None else seconds(cost.reach),
        "look_ahead": None if cost is None else seconds(cost.ahead),
        "operations": None if cost is None else cost.operations,
    }
