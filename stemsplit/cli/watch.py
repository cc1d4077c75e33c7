"""``stemsplit watch FOLDER``: split what appears in a folder, until stopped."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stemsplit.cli import options
from stemsplit.cli.console import Console
from stemsplit.cli.settings import describe
from stemsplit.cli.split_options import Networks, Outputs, Part, Reporting, split_options
from stemsplit.errors import ExitCode, InputError, UsageError

if TYPE_CHECKING:
    from stemsplit.batch.run import Batch

app = options.new_app()


@app.command()
@options.with_groups
def watch(
    context: typer.Context,
    *,
    folder: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", help="The folder to watch, and those below it."),
    ],
    settle: Annotated[
        float,
        typer.Option(
            min=0.1,
            metavar="SECONDS",
            help="How long a file must not have changed; if it looks unfinished, ten times that.",
        ),
    ] = 2.0,
    interval: Annotated[
        float,
        typer.Option(min=0.05, metavar="SECONDS", help="How long to wait between two looks."),
    ] = 1.0,
    new_only: Annotated[
        bool, typer.Option("--new-only", help="Leave songs alone that are there already.")
    ] = False,
    outputs: Outputs,
    part: Part,
    networks: Networks,
    reporting: Reporting,
) -> int:
    """Split the songs in a folder, and those that come into it, until stopped.

    A song is split when its file is complete, and again when it changes. What an earlier run did is
    not done again. Ctrl-C and SIGTERM end it, with exit status 0.
    """
    console = reporting.console()
    if reporting.print_config:
        for line in describe(context):
            console.data(line)
        return ExitCode.DONE
    if outputs.to_stdout:
        raise UsageError("a folder of songs cannot be split to standard output")
    if not folder.is_dir():
        raise InputError("is no folder", path=folder)
    settings = split_options(context, outputs, part, networks, existing="resume")
    from stemsplit.batch.run import Batch

    batch = Batch(settings, console)
    try:
        _watch(batch, console, folder, settle=settle, interval=interval, new_only=new_only)
    except (KeyboardInterrupt, SystemExit):
        console.note(f"stopped: {batch.count()}")
    return ExitCode.DONE


def _watch(
    batch: Batch,
    console: Console,
    folder: Path,
    *,
    settle: float,
    interval: float,
    new_only: bool,
) -> None:
    """Look at ``folder`` again and again, and have ``batch`` split what is complete in it.

    Raises ``CheckpointError`` before the first look, and ``ResourceError`` after a lack of disk or
    memory.
    """
    from stemsplit.batch.discover import Song, find_songs
    from stemsplit.batch.settled_files import Arrivals

    arrivals = Arrivals(folder, batch.options.folder, settle=settle)
    if new_only:
        arrivals.pass_over()
    batch.splitter.fetch()  # what can fail fails now, and not at night
    console.note(f"watching {folder}")
    there, told = True, {str(folder)}  # that there is no song yet is no news
    while True:
        before, there = there, folder.is_dir()
        if there != before:
            console.note(f"{folder} is {'back' if there else 'gone; waiting for it'}")
        if there and (candidates := arrivals.look(time.monotonic())):
            found = list(find_songs([str(folder)], batch.options.folder))
            songs = [song for song in found if isinstance(song, Song)]
            for error in found:
                if isinstance(error, InputError) and str(error.path) not in told:
                    told.add(str(error.path))
                    console.error(error)
            ready = set(arrivals.choose(candidates, {song.path for song in songs}))
            if chosen := [song for song in songs if song.path in ready]:
                batch.go_on(chosen, songs)
        time.sleep(interval)
