"""From the words on the command line to the options of a split, and what is shown of it."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from stemsplit.cli import options
from stemsplit.cli.aliases import programs_of
from stemsplit.cli.console import Console
from stemsplit.cli.output_file import format_named_by, is_one_song, to_file
from stemsplit.cli.standard_streams import STANDARD
from stemsplit.errors import UsageError
from stemsplit.options import SplitOptions
from stemsplit.types import Existing


@dataclass(frozen=True, slots=True, kw_only=True)
class Reporting:
    """What is shown, and how much of it."""

    print_config: Annotated[
        bool,
        typer.Option(
            "--print-config",
            rich_help_panel="Reporting",
            help="Show the value and the origin of every option, and exit.",
        ),
    ] = False
    json: options.Json = False
    progress: options.ProgressOption = "auto"
    quiet: options.Quiet = 0
    verbose: options.Verbose = 0
    debug: options.Debug = False

    def console(self) -> Console:
        """Return the console that shows as much as was asked for."""
        return Console(
            sys.stdout,
            sys.stderr,
            quiet=self.quiet,
            verbose=self.verbose,
            json=self.json,
            style=self.progress,
            debug=self.debug,
        )


def is_streamed(split: SplitOptions) -> bool:
    """Return whether the one stem goes to standard output."""
    return str(split.out) == STANDARD


def resolve(
    context: typer.Context,
    split: SplitOptions,
    *,
    ensemble: str | None,
    existing: Existing = "resume",
    files: Sequence[str] = (),
) -> SplitOptions:
    """Return ``split`` as it holds for its format; ``context`` knows what is on the command line.

    What a configuration file says for all songs must not stand in the way of another format today.
    A folder for the stems that is called like audio is the file of the one stem of the one song
    ``files``. Raises ``UsageError`` for contradictions.
    """
    if context.params["format"] == "raw" and not is_streamed(split):
        hint = "--out - writes to standard output; --format wav has a header"
        raise UsageError("raw samples have no header: they go to a pipe only", hint=hint)
    asked = asked_options(context)
    # Imported here: --help does without the registry.
    from stemsplit.audio.formats import fitting
    from stemsplit.handoff.programs import fitting_daws, require_known
    from stemsplit.separation.device import parse_devices

    parse_devices(split.engine.device)
    require_known(split.daw)
    if "daw" in asked and is_streamed(split):
        raise UsageError("--out - writes a stem to standard output: it excludes --daw")
    split = dataclasses.replace(split, model=options.choose_model(split.model, ensemble))
    named = format_named_by(split.out, split.encoding.format, asked="format" in asked)
    encoding = fitting(
        dataclasses.replace(split.encoding, format=named or split.encoding.format), asked
    )
    split = dataclasses.replace(
        split,
        encoding=encoding,
        daw=split.daw if "daw" in asked else fitting_daws(split.daw, encoding.format),
        existing=existing,
    )
    return split if named is None else to_file(split, asked, files)


def asked_options(context: typer.Context) -> set[str]:
    """Return the names of the options that are on the command line of ``context``."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return {name for name, source in sources.items() if source and source.name == "COMMANDLINE"}


def remark_on_jobs(console: Console, context: typer.Context, files: Sequence[str]) -> None:
    """Say what ``--jobs`` is, where it is likely that demucs' was meant: workers for one song."""
    if "jobs" not in asked_options(context):
        return
    if "demucs" in programs_of(context) or is_one_song(files):
        console.note(
            "-j is how many songs to decode ahead of the current one; demucs' -j, which gives one "
            "song more processes, is not needed: the network uses all cores"
        )


def choose_existing(**asked: bool) -> Existing:
    """Return what to do with stems that exist: what was asked for, or the default."""
    choices: tuple[Existing, ...] = ("force", "update", "skip", "resume")
    chosen = [name for name in choices if asked.get(name)]
    if len(chosen) > 1:
        raise UsageError("--force, --update, --skip-existing and --resume are mutually exclusive")
    return chosen[0] if chosen else "resume"
