"""``stemsplit watch FOLDER``: split songs as they appear in a folder, until stopped."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from stemsplit.cli import options
from stemsplit.cli.aliases import TranslatingCommand
from stemsplit.cli.declared import Without, with_groups
from stemsplit.cli.help import LONG_HELP, ShortHelp
from stemsplit.cli.settings import list_settings
from stemsplit.cli.split_options import (
    Reporting,
    choose_existing,
    is_streamed,
    resolve,
    warn_of_missing_extension,
)
from stemsplit.errors import ExitCode, InputError, UsageError
from stemsplit.options import SplitOptions

app = options.new_app()


class WatchHelp(TranslatingCommand):
    """The help of the command."""

    examples: ClassVar = (
        "stemsplit watch exports --out stems",
        "stemsplit watch ~/Downloads --new-only --two-stems vocals --format mp3",
    )
    brief: ClassVar = {
        "out": "Output folder (separated)",
        "format": "wav, flac, mp3, m4a, ogg, opus, aiff, alac or stem.mp4",
        "stems": "Write only these: vocals,drums",
        "two_stems": "Write this stem and the rest",
        "model": "See `stemsplit models list` (htdemucs)",
        "device": "auto, cuda, mps or cpu",
        "settle": "Wait until a file has not changed for this long",
        "new_only": "Skip songs that already exist",
        "update": "Redo stems that were made with other options",
        "json": "Write an object for each song to stdout",
    }


@app.command(cls=WatchHelp, context_settings=LONG_HELP)
@with_groups
def watch(
    context: typer.Context,
    *,
    folder: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", help="The folder to watch, with its subfolders."),
    ],
    settle: Annotated[
        float,
        typer.Option(
            min=0.1,
            metavar="SECONDS",
            rich_help_panel="Input",
            help="Wait until a file has not changed for this long; ten times this if unfinished.",
        ),
    ] = 2.0,
    interval: Annotated[
        float,
        typer.Option(
            min=0.05,
            metavar="SECONDS",
            rich_help_panel="Input",
            help="Time between two scans of the folder.",
        ),
    ] = 1.0,
    new_only: Annotated[
        bool,
        typer.Option("--new-only", rich_help_panel="Input", help="Skip songs that already exist."),
    ] = False,
    settings: Annotated[SplitOptions, Without("fail_fast"), Without("jobs")],
    force: options.Force = False,
    update: options.Update = False,
    ensemble: options.Ensemble = None,
    reporting: Reporting,
    short_help: ShortHelp = False,
) -> int:
    """Split the songs in a folder, and new ones as they appear, until stopped.

    A song is split as soon as its file is complete, and again when it changes. Songs that an
    earlier run has split are skipped. Ctrl-C or SIGTERM stops it, with exit status 0.
    """
    console = reporting.console()
    if reporting.print_config:
        for line in list_settings(context):
            console.data(line)
        return ExitCode.DONE
    existing = choose_existing(force=force, update=update)
    settings = resolve(context, settings, ensemble=ensemble, existing=existing)
    if is_streamed(settings):
        raise UsageError("a folder of songs cannot be split to standard output")
    if not folder.is_dir():
        raise InputError("not a folder" if folder.exists() else "no such folder", path=folder)
    warn_of_missing_extension(console, settings)
    from stemsplit.batch.results import Result
    from stemsplit.batch.run import Run
    from stemsplit.batch.watch import watch as watch_folder
    from stemsplit.cli.render import Renderer
    from stemsplit.cli.summary import Summary

    summary = Summary(console, settings.model)
    run = Run(settings, tunes_process=True, surveys=console.for_people)
    events = watch_folder(run, folder, settle=settle, interval=interval, new_only=new_only)
    try:
        with Renderer(console) as renderer, closing(events):
            for event in events:
                if isinstance(event, Result):
                    renderer.end(event.input)
                    summary.show(event)
                    summary.raise_unwritable()
                else:
                    renderer.show(event)
    except (KeyboardInterrupt, SystemExit):
        console.note(f"stopped: {summary.counts()}")
    return ExitCode.DONE
