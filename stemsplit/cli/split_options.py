"""Options that every command that splits files has, in groups; each is declared once, here."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stemsplit.audio.excerpt import Excerpt, parse_time
from stemsplit.audio.formats import parse_bitrate, parse_quality
from stemsplit.cli import options
from stemsplit.cli.console import Console
from stemsplit.cli.standard_streams import STANDARD
from stemsplit.errors import UsageError
from stemsplit.outputs.naming import DEFAULT_FOLDER, DEFAULT_TEMPLATE, template_for
from stemsplit.separation.device import parse_devices
from stemsplit.types import (
    Clip,
    Codec,
    Depth,
    EncodingOptions,
    EngineOptions,
    Existing,
    Format,
    StreamFormat,
)

if TYPE_CHECKING:
    from stemsplit.batch.plan import SplitOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """What is written, how it is stored, and where."""

    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            metavar="FOLDER",
            envvar="STEMSPLIT_OUT",
            help="Output folder; - writes one stem to standard output.",
        ),
    ] = DEFAULT_FOLDER
    filename: Annotated[
        str,
        typer.Option(
            metavar="TEMPLATE",
            envvar="STEMSPLIT_FILENAME",
            help="Names below the folder, of {track}, {trackext}, {stem}, {ext} and {model}.",
        ),
    ] = DEFAULT_TEMPLATE
    model: options.Model = options.DEFAULT_MODEL
    ensemble: options.Ensemble = None
    stems: Annotated[
        str | None, typer.Option(metavar="STEM,…", help="Write only these stems; none: only --mix.")
    ] = None
    two_stems: Annotated[
        str | None,
        typer.Option(metavar="STEM", help="Write this stem and the rest: the mix without it."),
    ] = None
    mix: Annotated[
        list[str] | None,
        typer.Option(
            "--mix",
            metavar="NAME=SUM",
            help="Write a mix too: karaoke=mix-0.9*vocals, or instrumental=drums+bass+other.",
        ),
    ] = None
    sum_to_mix: Annotated[
        str | None,
        typer.Option(
            metavar="STEM|spread",
            help="Give what the stems lack to be the song to one of them, or spread it.",
        ),
    ] = None
    format: Annotated[
        StreamFormat,
        typer.Option(
            "--format",
            envvar="STEMSPLIT_FORMAT",
            help="Format of the stems; raw (samples alone) only with --out -.",
        ),
    ] = "wav"
    codec: Annotated[
        Codec | None,
        typer.Option(
            envvar="STEMSPLIT_CODEC",
            help="Of stem.mp4: aac (the default), or alac, which loses nothing, but which Traktor "
            "does not read on Windows.",
        ),
    ] = None
    depth: Annotated[
        Depth | None,
        typer.Option(
            envvar="STEMSPLIT_DEPTH",
            help="Bits of a sample; 32f (floating point) is the default of wav, 24 of the others.",
        ),
    ] = None
    bitrate: Annotated[
        str | None,
        typer.Option(
            metavar="KBIT/S",
            envvar="STEMSPLIT_BITRATE",
            help="Bit rate, as 320 or 320k: 320 for mp3, 256 for m4a, 192 for opus by default.",
        ),
    ] = None
    quality: Annotated[
        str | None,
        typer.Option(
            metavar="N",
            envvar="STEMSPLIT_QUALITY",
            help="Quality instead of a bit rate: mp3 0 (best) to 9, or V0 to V9, as LAME says; "
            "ogg -1 to 10 (best), or q-1 to q10, 8 by default.",
        ),
    ] = None
    no_dither: Annotated[
        bool, typer.Option("--no-dither", help="Round to 16 bits without adding noise.")
    ] = False
    clip: Annotated[
        Clip | None,
        typer.Option(
            envvar="STEMSPLIT_CLIP",
            help="Above full scale: none keeps it (default of 32f and lossy formats), clamp cuts "
            "it off (default of 16 and 24 bits), linked turns all stems of the song down together.",
        ),
    ] = None
    no_tags: Annotated[
        bool, typer.Option("--no-tags", help="Leave the song's tags and cover behind.")
    ] = False
    daw: Annotated[
        str | None,
        typer.Option(
            metavar="PROGRAM,…",
            envvar="STEMSPLIT_DAW",
            help="Write a project with a track for each stem: reaper (.rpp), dawproject (for "
            "Bitwig, Studio One, Cubase).",
        ),
    ] = None

    @property
    def to_stdout(self) -> bool:
        """Whether the one stem goes to standard output."""
        return str(self.out) == STANDARD

    @property
    def encoding(self) -> EncodingOptions:
        """How the stems are stored."""
        format: Format = "wav" if self.format == "raw" else self.format
        return EncodingOptions(
            format=format,
            codec=self.codec,
            depth=self.depth,
            bitrate=parse_bitrate(self.bitrate),
            quality=parse_quality(self.quality, format),
            dither=not self.no_dither,
            clip=self.clip,
            tags=not self.no_tags,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """How much of a song is split."""

    accept_truncated: Annotated[
        bool, typer.Option("--accept-truncated", help="Split what is left of a truncated file.")
    ] = False
    start: Annotated[
        str | None, typer.Option(metavar="TIME", help="Where to begin: 90, 90.5 or 1:30.")
    ] = None
    end: Annotated[str | None, typer.Option(metavar="TIME", help="Where to end.")] = None
    duration: Annotated[
        str | None, typer.Option(metavar="TIME", help="How much to split, in place of --end.")
    ] = None
    preview: Annotated[
        str | None, typer.Option(metavar="TIME", help="Split so much of the song's middle.")
    ] = None

    @property
    def excerpt(self) -> Excerpt:
        """The part of a song that is meant; raises ``UsageError`` for what is no time."""
        names = ("start", "end", "duration", "preview")
        asked = {name: text for name in names if (text := getattr(self, name)) is not None}
        return Excerpt(**{name: parse_time(text) for name, text in asked.items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class Networks:
    """With what, and how, the network is run."""

    device: Annotated[
        str,
        typer.Option(
            "--device",
            "-d",
            metavar="DEVICE,…",
            envvar="STEMSPLIT_DEVICE",
            help="auto, cuda, cuda:N, mps or cpu; several share the songs: cuda:0,cuda:1.",
        ),
    ] = "auto"
    precision: options.PrecisionChoice = "auto"
    overlap: options.Overlap = None
    segment: Annotated[
        float | None,
        typer.Option(min=0.1, metavar="SECONDS", help="How much the network hears at a time."),
    ] = None
    shifts: Annotated[
        int,
        typer.Option(
            min=1,
            max=99,
            metavar="N",
            help="Hear the song N times, shifted, and take the mean.",
        ),
    ] = 1
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Another seed, other shifts.")] = 0
    batch: options.BatchSize = None
    offline: options.Offline = False
    allow_unverified: options.AllowUnverified = False

    @property
    def engine(self) -> EngineOptions:
        """How the network is run; raises ``UsageError`` for a device that nobody knows."""
        parse_devices(self.device)
        return EngineOptions(
            device=self.device,
            precision=self.precision,
            overlap=self.overlap,
            segment=self.segment,
            batch=options.parse_batch(self.batch),
            shifts=self.shifts,
            seed=self.seed,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reporting:
    """What is told, and how much of it."""

    print_config: Annotated[
        bool,
        typer.Option(
            "--print-config", help="Show the value and the origin of every option, and exit."
        ),
    ] = False
    json: options.Json = False
    progress: options.Progress = "auto"
    quiet: options.Quiet = 0
    verbose: options.Verbose = 0
    debug: options.Debug = False

    def console(self) -> Console:
        """Return the console that tells as much as is asked for."""
        return Console(
            sys.stdout,
            sys.stderr,
            quiet=self.quiet,
            verbose=self.verbose,
            json=self.json,
            style=self.progress,
            debug=self.debug,
        )


def split_options(
    context: typer.Context,
    outputs: Outputs,
    part: Part,
    networks: Networks,
    *,
    existing: Existing | None,
    fail_fast: bool = False,
    jobs: int = 1,
) -> SplitOptions:
    """Return what the groups ask for, as one; ``context`` knows what is on the command line.

    Raises ``UsageError`` for what contradicts itself.
    """
    if outputs.format == "raw" and not outputs.to_stdout:
        hint = "--out - writes to standard output; --format wav has a header"
        raise UsageError(
            "raw samples tell nothing of themselves: they go to a pipe only", hint=hint
        )
    if outputs.stems is not None and outputs.two_stems is not None:
        raise UsageError("--stems and --two-stems exclude each other")
    sources = {name: context.get_parameter_source(name) for name in context.params}
    asked = {name for name, source in sources.items() if source and source.name == "COMMANDLINE"}
    engine = networks.engine
    # Imported here: --help has no need of ffmpeg and the registry.
    from stemsplit.audio.formats import fitting
    from stemsplit.batch.plan import SplitOptions
    from stemsplit.handoff.programs import fitting_daws, parse_daws

    daws = parse_daws(parse_stems(outputs.daw or ""))
    if "daw" in asked and outputs.to_stdout:
        raise UsageError("--out - writes a stem to standard output: it excludes --daw")
    encoding = fitting(outputs.encoding, asked)
    return SplitOptions(
        model=options.choose_model(outputs.model, outputs.ensemble),
        stems=None if outputs.stems is None else parse_stems(outputs.stems),
        two_stems=outputs.two_stems,
        folder=outputs.out,
        template=template_for(outputs.filename, encoding.format),
        encoding=encoding,
        daws=daws if "daw" in asked else fitting_daws(daws, encoding.format),
        existing=existing,
        fail_fast=fail_fast,
        jobs=jobs,
        accept_truncated=part.accept_truncated,
        excerpt=part.excerpt,
        mixes=tuple(outputs.mix or ()),
        sum_to_mix=outputs.sum_to_mix,
        engine=engine,
        offline=networks.offline,
        allow_unverified=networks.allow_unverified,
    )


def parse_stems(text: str) -> tuple[str, ...]:
    """Return the names in a list that is separated by commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())
