"""``stemsplit FILE…``: split songs into their stems."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from stemsplit.audio.excerpt import WHOLE, Excerpt, parse_time
from stemsplit.cli import options
from stemsplit.cli.console import Console
from stemsplit.cli.settings import describe
from stemsplit.errors import ExitCode, UsageError
from stemsplit.separation.device import parse_device
from stemsplit.separation.naming import DEFAULT_FOLDER, DEFAULT_TEMPLATE
from stemsplit.types import Clip, Depth, EncodingOptions, EngineOptions, Existing, Format

app = options.new_app()

EPILOG = """\
Other commands: `stemsplit models` (the models and their weights), `stemsplit demo` (a song of its
own, split and scored). Each has its own --help.
"""


@app.command(epilog=EPILOG)
def split(
    context: typer.Context,
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE",
            help="Songs, videos, folders of them, playlists or patterns.",
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
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", metavar="FOLDER", envvar="STEMSPLIT_OUT", help="Output folder."
        ),
    ] = DEFAULT_FOLDER,
    filename: Annotated[
        str,
        typer.Option(
            metavar="TEMPLATE",
            envvar="STEMSPLIT_FILENAME",
            help="Names below the folder, of {track}, {trackext}, {stem}, {ext} and {model}.",
        ),
    ] = DEFAULT_TEMPLATE,
    model: options.Model = options.DEFAULT_MODEL,
    ensemble: Annotated[
        str | None,
        typer.Option(metavar="NAME,…", help="The mean of these models, in place of --model."),
    ] = None,
    stems: Annotated[
        str | None, typer.Option(metavar="STEM,…", help="Write only these stems; none: only --mix.")
    ] = None,
    two_stems: Annotated[
        str | None,
        typer.Option(metavar="STEM", help="Write this stem and the rest: the mix without it."),
    ] = None,
    mix: Annotated[
        list[str] | None,
        typer.Option(
            "--mix",
            metavar="NAME=SUM",
            help="Write a mix too: karaoke=mix-0.9*vocals, or instrumental=drums+bass+other.",
        ),
    ] = None,
    sum_to_mix: Annotated[
        str | None,
        typer.Option(
            metavar="STEM|spread",
            help="Give what the stems lack to be the song to one of them, or spread it.",
        ),
    ] = None,
    format: Annotated[
        Format, typer.Option("--format", envvar="STEMSPLIT_FORMAT", help="Format of the stems.")
    ] = "wav",
    depth: Annotated[
        Depth | None,
        typer.Option(
            envvar="STEMSPLIT_DEPTH",
            help="Bits of a sample; 32f (floating point) is the default of wav, 24 of the others.",
        ),
    ] = None,
    bitrate: Annotated[
        int | None,
        typer.Option(
            metavar="KBIT/S",
            envvar="STEMSPLIT_BITRATE",
            min=8,
            max=512,
            help="Bit rate: 320 for mp3, 256 for m4a, 192 for opus by default.",
        ),
    ] = None,
    quality: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            envvar="STEMSPLIT_QUALITY",
            min=-1,
            max=10,
            help="Quality instead of a bit rate: mp3 0 (best) to 9, as LAME's V; ogg -1 to 10 "
            "(best), 8 by default.",
        ),
    ] = None,
    no_dither: Annotated[
        bool, typer.Option("--no-dither", help="Round to 16 bits without adding noise.")
    ] = False,
    clip: Annotated[
        Clip | None,
        typer.Option(
            envvar="STEMSPLIT_CLIP",
            help="Above full scale: none keeps it (default of 32f and lossy formats), clamp cuts "
            "it off (default of 16 and 24 bits), linked turns all stems of the song down together.",
        ),
    ] = None,
    no_tags: Annotated[
        bool, typer.Option("--no-tags", help="Leave the song's tags and cover behind.")
    ] = False,
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
    accept_truncated: Annotated[
        bool, typer.Option("--accept-truncated", help="Split what is left of a truncated file.")
    ] = False,
    start: Annotated[
        str | None, typer.Option(metavar="TIME", help="Where to begin: 90, 90.5 or 1:30.")
    ] = None,
    end: Annotated[str | None, typer.Option(metavar="TIME", help="Where to end.")] = None,
    duration: Annotated[
        str | None, typer.Option(metavar="TIME", help="How much to split, in place of --end.")
    ] = None,
    preview: Annotated[
        str | None, typer.Option(metavar="TIME", help="Split so much of the song's middle.")
    ] = None,
    device: options.Device = "auto",
    precision: options.PrecisionChoice = "auto",
    overlap: options.Overlap = None,
    segment: Annotated[
        float | None,
        typer.Option(min=0.1, metavar="SECONDS", help="How much the network hears at a time."),
    ] = None,
    shifts: Annotated[
        int,
        typer.Option(
            min=1,
            max=99,
            metavar="N",
            help="Hear the song N times, shifted, and take the mean.",
        ),
    ] = 1,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Another seed, other shifts.")] = 0,
    batch: options.BatchSize = None,
    offline: options.Offline = False,
    allow_unverified: options.AllowUnverified = False,
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
    print_config: Annotated[
        bool,
        typer.Option(
            "--print-config", help="Show the value and the origin of every option, and exit."
        ),
    ] = False,
    json: options.Json = False,
    progress: options.Progress = "auto",
    quiet: options.Quiet = 0,
    verbose: options.Verbose = 0,
    debug: options.Debug = False,
    version: options.Version = False,
) -> int:
    """Split songs into stems: files as long as the song, lined up with it to the sample.

    The paths of the stems go to stdout, one a line, all else to stderr.
    """
    console = Console(
        sys.stdout, sys.stderr, quiet=quiet, verbose=verbose, json=json, style=progress
    )
    if print_config:
        for line in describe(context):
            console.data(line)
        return ExitCode.DONE
    if not files and not files_from:
        raise UsageError("no FILE, and no --files-from either")
    parse_device(device)
    existing = choose_existing(force=force, skip=skip_existing, resume=resume)
    encoding = EncodingOptions(
        format=format,
        depth=depth,
        bitrate=bitrate,
        quality=quality,
        dither=not no_dither,
        clip=clip,
        tags=not no_tags,
    )
    sources = {name: context.get_parameter_source(name) for name in context.params}
    asked = {name for name, source in sources.items() if source and source.name == "COMMANDLINE"}
    # Imported here: --help has no need of ffmpeg and the registry.
    from stemsplit.audio.formats import fitting
    from stemsplit.cli.batch import Batch
    from stemsplit.cli.plans import SplitOptions

    settings = SplitOptions(
        model=ensemble or model,
        stems=None if stems is None else parse_stems(stems),
        two_stems=two_stems,
        folder=out,
        template=filename,
        encoding=fitting(encoding, asked),
        existing=existing,
        fail_fast=fail_fast,
        jobs=jobs,
        accept_truncated=accept_truncated,
        excerpt=parse_excerpt(start=start, end=end, duration=duration, preview=preview),
        mixes=tuple(mix or ()),
        sum_to_mix=sum_to_mix,
        engine=EngineOptions(
            device=device,
            precision=precision,
            overlap=overlap,
            segment=segment,
            batch=options.parse_batch(batch),
            shifts=shifts,
            seed=seed,
        ),
        offline=offline,
        allow_unverified=allow_unverified,
    )
    judge = None
    if reference is not None or report is not None:
        if settings.excerpt != WHOLE:
            raise UsageError("--reference and --report are of whole songs, not of a part of one")
        from stemsplit.cli.judge import Judge

        judge = Judge(console, reference, report, settings.told())
    return Batch(settings, console, judge).run(files or (), files_from or ())


def choose_existing(**asked: bool) -> Existing | None:
    """Return what to do with stems that exist: what was asked for, None if nothing was."""
    choices: dict[str, Existing] = {"force": "force", "skip": "skip", "resume": "resume"}
    chosen = [choices[name] for name, wanted in asked.items() if wanted]
    if len(chosen) > 1:
        raise UsageError("of --force, --skip-existing and --resume, two exclude each other")
    return chosen[0] if chosen else None


def parse_stems(text: str) -> tuple[str, ...]:
    """Return the names in a list that is separated by commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def parse_excerpt(**times: str | None) -> Excerpt:
    """Return the part of a song that the options of these names ask for."""
    return Excerpt(**{name: parse_time(text) for name, text in times.items() if text is not None})
