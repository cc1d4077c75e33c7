"""``stemsplit FILE…``: split songs into their stems."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stemsplit.cli import options
from stemsplit.cli.settings import describe
from stemsplit.cli.split_options import Networks, Outputs, Part, Reporting, split_options
from stemsplit.cli.standard_streams import check_input, check_output, spooled, write_to_stdout
from stemsplit.errors import ExitCode, UsageError
from stemsplit.types import Existing

app = options.new_app()

EPILOG = """\
Other commands: `stemsplit evaluate` (how good stems are), `watch` (split what appears in a folder),
`models` (and their weights), `config` (what holds, and why), `doctor` (for bug reports), `demo` (a
song of its own, split and scored). Each has its own --help.
"""


@app.command(epilog=EPILOG)
@options.with_groups
def split(
    context: typer.Context,
    *,
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE",
            help="Songs, videos, folders of them, playlists or patterns; - is a song from "
            "standard input.",
            show_default=False,
        ),
    ] = None,
    files_from: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LIST",
            help="File with names of songs or folders, one a line; - is standard input.",
            show_default=False,
        ),
    ] = None,
    input_name: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="What the song from standard input is called: stdin, if nobody says so.",
            show_default=False,
        ),
    ] = None,
    outputs: Outputs,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace stems that exist.")] = False,
    skip_existing: Annotated[
        bool, typer.Option("--skip-existing", help="Leave stems that exist, write what is missing.")
    ] = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Write what is missing or made in another way; the default with several songs.",
        ),
    ] = False,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="Stop at the first song that fails.")
    ] = False,
    jobs: Annotated[
        int,
        typer.Option(
            "--jobs",
            "-j",
            metavar="N",
            min=1,
            envvar="STEMSPLIT_JOBS",
            help="Songs that are read ahead of the one being separated.",
        ),
    ] = 1,
    part: Part,
    networks: Networks,
    reference: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Score the stems against the true ones here: of the song, or of songs by name.",
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a page (HTML) about the stems, with players."),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say what would be done, and do nothing."),
    ] = False,
    reporting: Reporting,
    version: options.Version = False,
) -> int:
    """Split songs into stems: files as long as the song, lined up with it to the sample.

    The paths of the stems go to stdout, one a line, all else to stderr.
    """
    console = reporting.console()
    if reporting.print_config:
        for line in describe(context):
            console.data(line)
        return ExitCode.DONE
    if not files and not files_from:
        raise UsageError("no FILE, and no --files-from either")
    check_input(files or (), files_from or (), input_name)
    settings = split_options(
        context,
        outputs,
        part,
        networks,
        existing=choose_existing(force=force, skip=skip_existing, resume=resume),
        fail_fast=fail_fast,
        jobs=jobs,
    )
    from stemsplit.batch.run import Batch

    if settings.encoding.codec == "alac":
        console.warn("Traktor on Windows reads no ALAC; --codec aac is for all")
    judge = None
    if (reference is not None or report is not None) and not dry_run:
        from stemsplit.batch.scorer import ReferenceScorer

        judge = ReferenceScorer(
            console,
            reference,
            report,
            settings.told(),
            excerpt=settings.excerpt,
            accept_truncated=settings.accept_truncated,
        )
    if outputs.to_stdout:
        check_output(
            console,
            files_from=files_from,
            json=reporting.json,
            skip_existing=skip_existing,
            resume=resume,
            reference=reference,
            report=report,
            dry_run=dry_run,
        )
    batch = Batch(settings, console, judge)
    with spooled(files or (), input_name, console) as songs:
        if outputs.to_stdout:
            return write_to_stdout(batch.splitter, songs, bare=outputs.format == "raw")
        return batch.run(songs, files_from or (), dry=dry_run)


def choose_existing(**asked: bool) -> Existing | None:
    """Return what to do with stems that exist: what was asked for, None if nothing was."""
    choices: dict[str, Existing] = {"force": "force", "skip": "skip", "resume": "resume"}
    chosen = [choices[name] for name, wanted in asked.items() if wanted]
    if len(chosen) > 1:
        raise UsageError("of --force, --skip-existing and --resume, two exclude each other")
    return chosen[0] if chosen else None
