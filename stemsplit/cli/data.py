"""``stemsplit data``: make data sets, and look at them before training on them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stemsplit.cli import data_render, options
from stemsplit.cli.console import Console
from stemsplit.cli.declared import parse_names
from stemsplit.errors import UsageError
from stemsplit.stem_names import ORDER

if TYPE_CHECKING:
    from stemsplit.data.collections import TrainingSong

app = options.new_app(help="Make, check and measure data sets for training.")

Folders = Annotated[
    list[Path],
    typer.Argument(
        metavar="FOLDER",
        help="The data sets: folders, or CSV files that list stems; several are taken as one.",
    ),
]
Sources = Annotated[
    str,
    typer.Option("--sources", metavar="STEM,…", help="The stems that each song should have."),
]
Mapped = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        metavar="STEM=PATTERN",
        help="Assign files (kick*.wav) or instruments (synth*) to STEM; several are summed. "
        "Repeatable.",
    ),
]
USUAL = ",".join(ORDER)


@app.command()
def check(
    folders: Folders,
    sources: Sources = USUAL,
    mapped: Mapped = None,
    json: options.Json = False,
    quiet: options.Quiet = 0,
    debug: options.Debug = False,
) -> int:
    """Find songs with missing, silent, clipped or misaligned stems, and duplicates."""
    from stemsplit.batch.data_check import check_songs, find_duplicates
    from stemsplit.batch.results import exit_code
    from stemsplit.cli.data_reports import CheckReport

    console = Console(sys.stdout, sys.stderr, quiet=quiet, json=json, debug=debug)
    names = _parse_sources(sources)
    layouts, songs = _find(folders, names, mapped or [])
    report = CheckReport(console, layouts)
    checked = []
    with console.progress("checking") as meter:
        for song in check_songs(songs, names):
            report.show(song)
            checked.append(song)
            meter.update(len(checked), len(songs), f"{len(checked)} of {len(songs)} songs")
    report.finish(find_duplicates(checked))
    return exit_code([song.error for song in checked])


@app.command()
def stats(
    folders: Folders,
    sources: Sources = USUAL,
    mapped: Mapped = None,
    json: options.Json = False,
    quiet: options.Quiet = 0,
    debug: options.Debug = False,
) -> int:
    """Measure length, loudness, and how often each stem is silent or alone."""
    from stemsplit.batch.data_stats import DataSetMeter
    from stemsplit.batch.results import exit_code
    from stemsplit.cli.data_reports import show_statistics

    console = Console(sys.stdout, sys.stderr, quiet=quiet, json=json, debug=debug)
    names = _parse_sources(sources)
    layouts, songs = _find(folders, names, mapped or [])
    data, errors = DataSetMeter(names), []
    with console.progress("measuring") as meter:
        for song in data.measure(songs):
            errors.append(song.error)
            if song.error is not None:
                console.error(song.error)
            meter.update(len(errors), len(songs), f"{len(errors)} of {len(songs)} songs")
    if any(error is None for error in errors):
        show_statistics(console, data.result(), layouts)
    return exit_code(errors)


app.command()(data_render.render)


def _find(
    folders: Sequence[Path], sources: Sequence[str], mapped: Iterable[str]
) -> tuple[list[str], list[TrainingSong]]:
    """Return the layouts of the data sets, and their songs."""
    from dataclasses import replace

    from stemsplit.data.collections import find_training_songs, recognise

    mapping = parse_patterns(mapped)
    layouts: list[str] = []
    songs: list[TrainingSong] = []
    for folder in folders:
        found = find_training_songs(folder, sources, mapping)
        layouts.append(recognise(folder).name)
        if len(folders) > 1:  # names are unique in each data set only
            found = [replace(song, name=f"{folder}/{song.name}") for song in found]
        songs += found
    return list(dict.fromkeys(layouts)), songs


def _parse_sources(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(parse_names(text)))
    if not names:
        raise UsageError("--sources is empty: name at least one stem")
    return names


def parse_patterns(texts: Iterable[str]) -> dict[str, list[str]]:
    """Return patterns by stem, from ``texts`` of the form ``STEM=PATTERN``."""
    mapping: dict[str, list[str]] = {}
    for text in texts:
        stem, _sign, pattern = text.partition("=")
        if not (stem and pattern):
            hint = "such as --map 'drums=kick*' --map 'drums=snare*'"
            raise UsageError(f"--map takes STEM=PATTERN, not {text!r}", hint=hint)
        mapping.setdefault(stem, []).append(pattern)
    return mapping
