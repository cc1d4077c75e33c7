"""``stemsplit FILE…``: split songs into their stems."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from stemsplit.cli import options
from stemsplit.cli.aliases import TranslatingCommand
from stemsplit.cli.declared import After, with_groups
from stemsplit.cli.help import LONG_HELP, ShortHelp
from stemsplit.cli.settings import list_settings
from stemsplit.cli.split_options import (
    Reporting,
    choose_existing,
    is_streamed,
    remark_on_jobs,
    resolve,
    warn_of_missing_extension,
)
from stemsplit.cli.standard_streams import (
    STANDARD,
    StandardInput,
    as_streams,
    check_input,
    check_output,
    spooled,
    write_to_stdout,
)
from stemsplit.errors import ExitCode, UsageError
from stemsplit.options import SplitOptions
from stemsplit.types import Planned

if TYPE_CHECKING:
    from stemsplit.batch.scorer import ReferenceScorer

app = options.new_app()


class SplitHelp(TranslatingCommand):
    """The help of the default command."""

    examples: ClassVar = (
        "stemsplit song.mp3",
        "stemsplit song.mp3 --two-stems vocals --format mp3",
        "stemsplit music/ --out stems --model htdemucs_ft",
    )
    brief: ClassVar = {
        "out": "Output folder (separated)",
        "format": "wav, flac, mp3, m4a, ogg, opus, aiff, alac or stem.mp4",
        "stems": "Write only these: vocals,drums",
        "two_stems": "Write this stem and the rest (for karaoke: vocals)",
        "mixes": "Write a mix: karaoke=mix-0.9*vocals",
        "model": "See `stemsplit models list` (htdemucs)",
        "device": "auto, cuda, mps or cpu",
        "preview": "Split only this many seconds from the song's middle",
        "shifts": "Average N passes: slower and a little better",
        "update": "Redo stems that were made with other options",
        "force": "Replace whatever exists",
        "dry_run": "Show what would be done",
    }


@app.command(cls=SplitHelp, context_settings=LONG_HELP)
@with_groups
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
            rich_help_panel="Input",
            help="File that lists songs or folders, one per line; - is standard input.",
            show_default=False,
        ),
    ] = None,
    input_name: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            rich_help_panel="Input",
            help="Name for the song read from standard input: stdin by default.",
            show_default=False,
        ),
    ] = None,
    settings: SplitOptions,
    ensemble: options.Ensemble = None,
    force: options.Force = False,
    update: options.Update = False,
    skip_existing: Annotated[
        bool,
        typer.Option(
            "--skip-existing",
            rich_help_panel="Folders and resuming",
            help="Keep stems that exist, write what is missing.",
        ),
        After("update"),
    ] = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            rich_help_panel="Folders and resuming",
            help="Write stems that are missing, or made before the song changed; the default.",
        ),
        After("skip_existing"),
    ] = False,
    reference: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            rich_help_panel="Reporting",
            help="Score against true stems: the folder of the song, or of songs matched by name.",
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel="Reporting",
            help="Write an HTML report about the stems, with players.",
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            rich_help_panel="Folders and resuming",
            help="Show what would be done, without doing it.",
        ),
    ] = False,
    reporting: Reporting,
    version: options.Version = False,
    short_help: ShortHelp = False,
) -> int:
    """Split songs into stems as long as the song and sample-aligned with it.

    The paths of the stems go to stdout, one per line, everything else to stderr.
    """
    console = reporting.console()
    if reporting.print_config:
        for line in list_settings(context):
            console.data(line)
        return ExitCode.DONE
    if not files and not files_from:
        raise UsageError("neither FILE nor --files-from was given")
    files = as_streams(files or ())
    check_input(files, files_from or (), input_name)
    existing = choose_existing(force=force, update=update, skip=skip_existing, resume=resume)
    settings = resolve(
        context,
        settings,
        ensemble=ensemble,
        existing=existing,
        files=() if files_from else files,
    )
    remark_on_jobs(console, context, files)
    warn_of_missing_extension(console, settings)
    if settings.encoding.codec == "alac":
        console.warn("Traktor on Windows cannot read ALAC; --codec aac works everywhere")
    if is_streamed(settings):
        check_output(
            console,
            files_from=files_from,
            json=reporting.json,
            skip_existing=skip_existing,
            update=update,
            resume=resume,
            reference=reference,
            report=report,
            dry_run=dry_run,
        )
        bare = context.params["format"] == "raw"
        with spooled(files or (), input_name, console) as songs:
            return write_to_stdout(console, settings, songs, bare=bare)
    from stemsplit.batch.results import Result
    from stemsplit.batch.run import Run
    from stemsplit.cli.render import Renderer
    from stemsplit.cli.summary import Summary

    with spooled(files or (), input_name, console) as songs:
        run = Run(
            settings,
            scorer=None if dry_run else _scorer(settings, reference, report),
            temporary=map(Path, set(songs) - set(files or ())),
            tunes_process=True,
            surveys=console.for_people,
        )
        summary = Summary(console, settings.model, report)
        lists = [StandardInput() if name == STANDARD else name for name in files_from or ()]
        events = run.split_inputs(songs, lists, dry=dry_run)
        entries = 0
        try:
            with Renderer(console) as renderer, closing(events):
                for event in events:
                    if isinstance(event, Result):
                        renderer.end(event.input)
                        summary.show(event)
                    else:
                        entries = event.entries if isinstance(event, Planned) else entries
                        renderer.show(event)
        except (KeyboardInterrupt, SystemExit):
            summary.show_interruption(entries, settings.existing)
            raise
        return summary.finish()


def _scorer(
    settings: SplitOptions, reference: Path | None, report: Path | None
) -> ReferenceScorer | None:
    if reference is None and report is None:
        return None
    from stemsplit.batch.scorer import ReferenceScorer

    return ReferenceScorer(settings, reference, report)
