"""``stemsplit models``: which models there are, and their weights on this machine."""

from __future__ import annotations

import dataclasses
import json as json_module
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import typer

from stemsplit.cli import options
from stemsplit.cli.console import Console
from stemsplit.cli.declared import with_groups
from stemsplit.cli.render import Renderer
from stemsplit.errors import ExitCode, OutputError, UsageError

if TYPE_CHECKING:
    from stemsplit.checkpoints.entries import Model, Scores
    from stemsplit.checkpoints.weights import Weights

# The registry and the cache are imported in the commands: --help has no need of them.
app = options.new_app(help="The models, and their weights on this machine.")

ModelNames = Annotated[list[str], typer.Argument(metavar="NAME", help="Names of models.")]
#: What checkpoints of the community can be for, by the names that their YAML files go with.
Architecture: TypeAlias = Literal["bs_roformer", "mel_band_roformer", "scnet", "mdx23c", "htdemucs"]


@app.command("list")
def list_(json: options.Json = False) -> int:
    """List all models: stems, score, size, whether the weights are here, and their licence."""
    from stemsplit.checkpoints.registry import list_groups, list_models

    console = Console(sys.stdout, sys.stderr, json=json)
    if json:
        for model in list_models():
            console.record(_record(model))
        return ExitCode.DONE
    rows: list[tuple[str, ...]] = [("NAME", "STEMS", "SDR", "MB", "HERE", "COMMERCIAL", "LICENCE")]
    for group, models in list_groups().items():
        rows += [(), (group,)]
        rows += [
            (
                f"  {model.name}",
                ",".join(model.stems),
                score(model),
                megabytes(model),
                _where(model),
                model.commercial,
                model.licence,
            )
            for model in models
        ]
    _table(console, rows)
    return ExitCode.DONE


@app.command("show")
def show_(name: Annotated[str, typer.Argument(metavar="NAME")], json: options.Json = False) -> int:
    """Show all that is known of one model."""
    from stemsplit.checkpoints.loading import conventions
    from stemsplit.checkpoints.registry import group_of, resolve

    console = Console(sys.stdout, sys.stderr, json=json)
    model = resolve(name)
    overlap, window = conventions(model)
    if json:
        console.record(_record(model) | {"overlap": overlap, "window": window})
        return ExitCode.DONE
    facts = [
        ("name", model.name),
        ("description", model.description),
        ("stems", ", ".join(model.stems)),
        ("sample rate", f"{model.sample_rate} Hz"),
        ("channels", str(model.channels)),
        ("segment", f"{model.segment / model.sample_rate:.2f} s"),
        ("overlap", f"{overlap:.0%} of a segment"),
        ("window", window),
        ("group", group_of(model)),
        ("architecture", model.architecture or "ensemble"),
        ("members", ", ".join(model.members)),
        ("licence", model.licence),
        ("stated in", model.licence_source or ""),
        ("commercial use", model.commercial),
        ("note", model.licence_note or ""),
        ("training data", model.training_data),
        ("paper", model.paper or ""),
        *(
            (
                "score",
                f"{_values(scores)} ({scores.metric}, {scores.dataset}; {scores.source})",
            )
            for scores in model.scores
        ),
        *(
            ("source", f"{file.address}{'' if file.sha256 else ' (unverified)'}")
            for source in model.sources
            for file in source.files
        ),
        ("size", f"{size} MB" if (size := megabytes(model)) else ""),
        ("here", _where(model)),
    ]
    _table(console, [(f"{fact}:", value) for fact, value in facts if value])
    return ExitCode.DONE


@app.command()
@with_groups
def pull(
    *,
    names: ModelNames,
    fetching: options.FetchOptions,
    quiet: options.Quiet = 0,
    debug: options.Debug = False,
) -> int:
    """Fetch the weights of models, so that they are here when there is no network."""
    from stemsplit.checkpoints import cache
    from stemsplit.checkpoints.registry import resolve

    console = Console(sys.stdout, sys.stderr, quiet=quiet)
    for model in [resolve(name) for name in names]:
        with Renderer(console) as renderer:
            for event in cache.pull(
                model, offline=fetching.offline, allow_unverified=fetching.allow_unverified
            ):
                renderer.show(event)
        _show_paths(console, model)
    return ExitCode.DONE


@app.command()
def verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]", help="Names of models; all that are here by default."),
    ] = None,
    debug: options.Debug = False,
) -> int:
    """Check that the weights on this machine are what was fetched, bit for bit."""
    from stemsplit.checkpoints import cache
    from stemsplit.checkpoints.registry import list_models, resolve

    console = Console(sys.stdout, sys.stderr)
    models = [resolve(name) for name in names or ()]
    for model in models or [model for model in list_models() if cache.find(model)]:
        cache.verify(model)
        verifiable = cache.is_verifiable(model)
        console.data(f"{model.name}: ok{'' if verifiable else ', as fetched, but unverified'}")
    return ExitCode.DONE


@app.command()
def rm(names: ModelNames, debug: options.Debug = False) -> int:
    """Remove the weights of models from this machine."""
    from stemsplit.checkpoints import cache
    from stemsplit.checkpoints.registry import resolve

    console = Console(sys.stdout, sys.stderr)
    for model in [resolve(name) for name in names]:
        removed = cache.remove(model)
        console.note(f"{model.name}: {'removed' if removed else 'was not here'}")
    return ExitCode.DONE


@app.command()
def path(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="The cache folder without a name.")
    ] = None,
) -> int:
    """Show where the weights of a model are, or where all weights are kept."""
    from stemsplit.checkpoints.folders import cache_dir
    from stemsplit.checkpoints.registry import resolve

    console = Console(sys.stdout, sys.stderr)
    if name is None:
        console.data(str(cache_dir()))
    else:
        _show_paths(console, resolve(name))
    return ExitCode.DONE


@app.command()
def convert(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="A checkpoint of another program; of Open-Unmix also a folder."
        ),
    ],
    architecture: Annotated[
        Architecture | None, typer.Option(help="What network it is for, if it does not say so.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The YAML file that came with it, if it needs one."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="A setting of the network that the file does not hold; may be repeated.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="FILE", help="What to write; FILE.safetensors by default."
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", "-f", help="Replace a file that exists.")
    ] = False,
    quiet: options.Quiet = 0,
    debug: options.Debug = False,
) -> int:
    """Make a checkpoint of another program one of this, for `-n FILE.safetensors`.

    Files of Demucs and folders of Open-Unmix say what they are. What the community publishes needs
    --architecture and --config. A file of tensors alone leaves settings open that no tensor shows,
    such as the sample rate; --set gives them. No code in a file is ever run.
    """
    from stemsplit.audio.writable import output_error
    from stemsplit.checkpoints import weights

    console = Console(sys.stdout, sys.stderr, quiet=quiet)
    target = _target_of(file) if out is None else out
    if os.path.exists(target):  # unlike that of Path, also for a name that is too long
        if target.is_dir() or (file.exists() and target.samefile(file)):
            reason = "is a folder" if target.is_dir() else "is the input"
            raise OutputError(reason, path=target, hint="--out names another file")
        if not force:
            hint = "--force replaces it, --out names another file"
            raise OutputError("exists already", path=target, hint=hint)
    converted = _convert(file, architecture, config, _parse_settings(settings or ()))
    try:
        weights.save(converted, target)
    except OSError as exc:
        room = "make room, or name another place with --out"
        raise output_error(exc, target, room=room) from exc
    console.data(str(target))
    console.note(f"a {converted.architecture} of {', '.join(converted.config['sources'])}")
    if converted.overlap is not None:
        console.note(f"its segments overlap by {converted.overlap:.4g}, as its configuration says")
    return ExitCode.DONE


def _target_of(file: Path) -> Path:
    """Return what to write for ``file`` beside it: FILE.safetensors in place of its ending."""
    if os.path.isdir(file):  # which has no ending, and may be called "."
        return file.parent / f"{file.resolve().name}.safetensors"
    return file.with_suffix(".safetensors")


def _convert(
    file: Path,
    architecture: Architecture | None,
    config: Path | None,
    settings: Mapping[str, Any],
) -> Weights:
    """Return the weights in ``file``, with the overlap that ``config`` asks for."""
    from stemsplit.checkpoints import convert, foreign, msst_config

    if (architecture is None) != (config is None):
        raise UsageError("--architecture and --config go together")
    if architecture is None or config is None:
        return foreign.read_foreign(file, convert.sniff(file), settings)
    if settings:
        raise UsageError("--set and --config do not go together: the YAML file has all settings")
    network = msst_config.read(config, architecture)
    converted = convert.convert(
        "msst", [file], architecture=network.architecture, config=network.config
    )
    return dataclasses.replace(converted, overlap=network.overlap)


def _parse_settings(pairs: Sequence[str]) -> dict[str, Any]:
    """Return the values of ``NAME=VALUE`` by name: a list, a number, true or false, or a word.

    Raises ``UsageError`` for a pair without a name or a value, and for a name that comes twice.
    """
    settings: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not (name and equals and text):
            raise UsageError(f"--set takes NAME=VALUE, not {pair!r}")
        if name in settings:
            raise UsageError(f"--set {name} is given twice")
        settings[name] = _parse_value(name, text)
    return settings


def _parse_value(name: str, text: str) -> Any:
    if name == "sources":
        return [stem.strip() for stem in text.split(",") if stem.strip()]
    try:
        value = json_module.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, bool | int | float | list) else text


def _show_paths(console: Console, model: Model) -> None:
    """Write where the weights of ``model`` are, one file a line; raise if they are not here."""
    from stemsplit.checkpoints import cache

    for network in cache.networks(model):
        if network.sources:
            weights = cache.find(network)
            if weights is None:
                raise cache.not_cached(network)
            console.data(str(weights))


def _where(model: Model) -> str:
    """Say whether ``model`` can be used without a network, and whether it is known to be itself."""
    from stemsplit.checkpoints import cache

    if not any(network.sources for network in cache.networks(model)):
        return "built in"
    here = "no" if cache.missing(model) else "yes"
    return here if cache.is_verifiable(model) else f"{here}, unverified"


def score(model: Model) -> str:
    """Return the mean of the first published scores in dB, and their metric; empty without any."""
    if not model.scores:
        return ""
    scores = model.scores[0]
    if scores.mean is not None:
        return f"{scores.mean:.2f} {scores.metric}"
    values = scores.values.values()
    stems = "1 stem" if len(values) == 1 else f"{len(values)} stems"
    part = "" if len(values) == len(model.stems) else f" of {stems}"
    return f"{sum(values) / len(values):.2f} {scores.metric}{part}"


def megabytes(model: Model) -> str:
    """Return how much is to be fetched for ``model``, of the first source that says it all."""
    from stemsplit.checkpoints import cache

    total = 0
    for network in cache.networks(model):
        known = [
            sum(file.size or 0 for file in source.files)
            for source in network.sources
            if all(file.size for file in source.files)
        ]
        if not known:
            return ""
        total += known[0]
    return f"{total / 1e6:.0f}"


def _values(scores: Scores) -> str:
    if scores.mean is not None:
        return f"mean {scores.mean:g} dB"
    return ", ".join(f"{stem} {value:g} dB" for stem, value in scores.values.items())


def _record(model: Model) -> dict[str, Any]:
    """Return ``model`` as the object that --json writes."""
    from stemsplit.checkpoints import cache
    from stemsplit.checkpoints.registry import group_of

    return {
        "schema": 1,
        **dataclasses.asdict(model),
        "group": group_of(model),
        "here": not cache.missing(model),
        "verifiable": cache.is_verifiable(model),
    }


def _table(console: Console, rows: Sequence[tuple[str, ...]]) -> None:
    """Write ``rows`` as columns; a row of one cell is a heading, and takes no column's width."""
    whole = [row for row in rows if len(row) > 1]
    widths = [max(map(len, column)) for column in zip(*whole, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        console.data("  ".join(cells).rstrip())
