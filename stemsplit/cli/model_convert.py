"""``stemsplit models convert``: convert checkpoints of other programs."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import typer

from stemsplit.cli import options
from stemsplit.cli.console import Console
from stemsplit.errors import ExitCode, OutputError, UsageError

if TYPE_CHECKING:
    from stemsplit.checkpoints.weights import Weights

#: The architectures of community checkpoints, as their YAML files name them.
Architecture: TypeAlias = Literal["bs_roformer", "mel_band_roformer", "scnet", "mdx23c", "htdemucs"]


def convert(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="A checkpoint from another program, or an Open-Unmix folder."
        ),
    ],
    architecture: Annotated[
        Architecture | None,
        typer.Option(help="Architecture of the network, if the checkpoint does not state it."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The YAML file published with the checkpoint, if it needs one."
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="A setting of the network that the file does not contain. Repeatable.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="FILE", help="Output file; FILE.safetensors by default."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace an existing file.")] = False,
    quiet: options.Quiet = 0,
    debug: options.Debug = False,
) -> int:
    """Convert a checkpoint from another program for `-n FILE.safetensors`.

    Demucs files and Open-Unmix folders are recognised. Community checkpoints need
    --architecture and --config. If a file contains only tensors, --set provides settings that they
    do not reveal, such as the sample rate. No code in a file is ever run.
    """
    from stemsplit.audio.writable import output_error
    from stemsplit.checkpoints import weights

    console = Console(sys.stdout, sys.stderr, quiet=quiet)
    target = _target_of(file) if out is None else out
    if os.path.exists(target):  # unlike Path.exists, also for a name that is too long
        if target.is_dir() or (file.exists() and target.samefile(file)):
            reason = "is a folder" if target.is_dir() else "is the input"
            raise OutputError(reason, path=target, hint="use --out to write to another file")
        if not force:
            hint = "use --force to replace it, or --out to write to another file"
            raise OutputError("already exists", path=target, hint=hint)
    converted = _convert(file, architecture, config, _parse_settings(settings or ()))
    try:
        weights.save(converted, target)
    except OSError as exc:
        room = "free some space, or use --out to write elsewhere"
        raise output_error(exc, target, room=room) from exc
    console.data(str(target))
    console.note(f"a {converted.architecture} of {', '.join(converted.config['sources'])}")
    if converted.overlap is not None:
        console.note(
            f"its segments overlap by {converted.overlap:.4g}, as set in its configuration"
        )
    return ExitCode.DONE


def _target_of(file: Path) -> Path:
    """Return the default output beside ``file``: its name with the extension .safetensors."""
    if os.path.isdir(file):  # has no extension, and may be "."
        return file.parent / f"{file.resolve().name}.safetensors"
    return file.with_suffix(".safetensors")


def _convert(
    file: Path,
    architecture: Architecture | None,
    config: Path | None,
    settings: Mapping[str, Any],
) -> Weights:
    """Return the weights in ``file``, with the overlap set in ``config``."""
    from stemsplit.checkpoints import convert, foreign, msst_config

    if (architecture is None) != (config is None):
        raise UsageError("--architecture and --config must be used together")
    if architecture is None or config is None:
        return foreign.read_foreign(file, convert.sniff(file), settings)
    if settings:
        raise UsageError("--set cannot be used with --config: the YAML file has all settings")
    network = msst_config.read(config, architecture)
    converted = convert.convert(
        "msst", [file], architecture=network.architecture, config=network.config
    )
    return dataclasses.replace(converted, overlap=network.overlap)


def _parse_settings(pairs: Sequence[str]) -> dict[str, Any]:
    """Return the values in ``NAME=VALUE`` by name: lists, numbers, booleans or words.

    Raises ``UsageError`` for a pair without a name or a value, and for a repeated name.
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
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, bool | int | float | list) else text
