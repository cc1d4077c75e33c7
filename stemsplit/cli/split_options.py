"""Turn the command line into the options of a split and of its reporting."""

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
from stemsplit.cli.standard_streams import STANDARD_OUTPUT
from stemsplit.errors import UsageError
from stemsplit.options import SplitOptions
from stemsplit.types import Existing


@dataclass(frozen=True, slots=True, kw_only=True)
class Reporting:
    """What to show, and how much of it."""

    print_config: Annotated[
        bool,
        typer.Option(
            "--print-config",
            rich_help_panel="Reporting",
            help="Show the value and origin of every option and exit.",
        ),
    ] = False
    json: options.Json = False
    progress: options.ProgressOption = "auto"
    quiet: options.Quiet = 0
    verbose: options.Verbose = 0
    debug: options.Debug = False

    def console(self) -> Console:
        """Return a console with these settings."""
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
    """Return whether the stem goes to standard output."""
    return str(split.out) in STANDARD_OUTPUT


def resolve(
    context: typer.Context,
    split: SplitOptions,
    *,
    ensemble: str | None,
    existing: Existing = "resume",
    files: Sequence[str] = (),
) -> SplitOptions:
    """Return ``split`` adapted to its format; ``context`` knows which options were typed.

    Settings in the configuration file that do not fit a format on the command line are dropped. If
    the output folder is named like an audio file, it becomes the file for the one stem of the one
    song in ``files``. Raises ``UsageError`` for contradictions.
    """
    if context.params["format"] == "raw" and not is_streamed(split):
        hint = "use --out - to write to standard output, or --format wav, which has a header"
        raise UsageError(
            "raw samples have no header: they can only be written to standard output", hint=hint
        )
    asked = asked_options(context)
    # Imported here: --help does not need the registry.
    from stemsplit.audio.formats import fitting
    from stemsplit.handoff.programs import fitting_daws, require_known
    from stemsplit.separation.device import parse_devices

    parse_devices(split.engine.device)
    require_known(split.daw)
    if "daw" in asked and is_streamed(split):
        raise UsageError("--out - writes a stem to standard output: it cannot be used with --daw")
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
    """Explain ``--jobs`` if demucs' option, the workers for one song, was probably meant."""
    if "jobs" not in asked_options(context):
        return
    if "demucs" in programs_of(context) or is_one_song(files):
        console.note(
            "-j sets how many songs to decode ahead of the current one; unlike in demucs, it does "
            "not speed up a single song: the network already uses all cores"
        )


def warn_of_missing_extension(console: Console, split: SplitOptions) -> None:
    """Warn if the stems get names without an extension, which other programs need."""
    from stemsplit.audio.format_table import FORMATS
    from stemsplit.outputs.naming import check_extension, template_for

    format = split.encoding.format
    if not check_extension(template_for(split.filename, format), format):
        console.warn(
            f"the names of the stems do not end with .{FORMATS[format].extension}: "
            "end --filename with .{ext}"
        )


def choose_existing(**asked: bool) -> Existing:
    """Return what to do with existing stems: the option that was given, or the default."""
    choices: tuple[Existing, ...] = ("force", "update", "skip", "resume")
    chosen = [name for name in choices if asked.get(name)]
    if len(chosen) > 1:
        raise UsageError("--force, --update, --skip-existing and --resume are mutually exclusive")
    return chosen[0] if chosen else "resume"
