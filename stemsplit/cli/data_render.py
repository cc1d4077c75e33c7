"""``stemsplit data render``: make songs for training."""

from __future__ import annotations

import math
import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from stemsplit.cli import options
from stemsplit.cli.console import Console
from stemsplit.cli.declared import parse_names
from stemsplit.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stemsplit.batch.data_render import RenderResult
    from stemsplit.data.render.song import Settings

SCHEMA = 1  # of the records that --json writes

Out = Annotated[
    Path, typer.Argument(metavar="OUT", help="Folder for the songs, a folder for each.")
]
Songs = Annotated[int, typer.Option("--songs", metavar="N", min=1, help="Number of songs.")]
Seconds = Annotated[
    float, typer.Option("--seconds", metavar="S", min=1, max=3600, help="Length of each song.")
]
Seed = Annotated[
    int,
    typer.Option("--seed", metavar="N", min=0, help="Random seed; another one makes other songs."),
]
Styles = Annotated[
    str | None,
    typer.Option(
        "--style",
        metavar="NAME,…",
        help="Only use these styles; patterns such as 'rock*' are allowed.",
    ),
]
NotStyles = Annotated[
    str | None,
    typer.Option(
        "--not-style",
        metavar="NAME,…",
        help="Do not use these styles: keep them for test songs.",
    ),
]
SoundFont = Annotated[
    Path | None,
    typer.Option(
        "--soundfont",
        metavar="PATH",
        help="Sound font (.sf2, .sf3), or folder of sound fonts, instead of the system's.",
    ),
]
Synthetic = Annotated[
    bool,
    typer.Option(
        "--synthetic", help="Use built-in instruments and styles only: no other programs."
    ),
]
Force = Annotated[bool, typer.Option("--force", "-f", help="Replace songs that exist.")]
SkipExisting = Annotated[
    bool, typer.Option("--skip-existing", help="Keep songs that exist; render the missing ones.")
]
Format = Annotated[Literal["wav", "flac"], typer.Option("--format", help="Format, with 16 bits.")]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        metavar="N",
        min=1,
        show_default="one per CPU core",
        help="Songs to render at a time; the songs do not depend on it.",
    ),
]


def render(
    out: Out,
    songs: Songs = 10,
    seconds: Seconds = 60.0,
    seed: Seed = 0,
    style: Styles = None,
    not_style: NotStyles = None,
    soundfont: SoundFont = None,
    synthetic: Synthetic = False,
    format: Format = "wav",
    workers: Workers = None,
    force: Force = False,
    skip_existing: SkipExisting = False,
    json: options.Json = False,
    quiet: options.Quiet = 0,
    debug: options.Debug = False,
) -> int:
    """Make random songs with true stems and labels.

    Each song has a folder with its stems, their sum, a MIDI file, and labels.json: notes, chords,
    beats, tempo and key.
    """
    from stemsplit.batch.data_render import render_songs, song_folders
    from stemsplit.batch.results import exit_code
    from stemsplit.data.render.song import render_song

    if force and skip_existing:
        raise UsageError("--force and --skip-existing contradict each other")
    console = Console(sys.stdout, sys.stderr, quiet=quiet, json=json, debug=debug)
    settings = _settings(console, seconds, seed, (style, not_style), soundfont, synthetic)
    results = render_songs(
        partial(render_song, settings),
        song_folders(out, seed, songs),
        format=format,
        workers=min(workers or os.cpu_count() or 1, songs),
        force=force,
        skip_existing=skip_existing,
    )
    errors = []
    with console.progress("rendering") as meter:
        for result in results:
            _show(console, result)
            errors.append(result.error)
            meter.update(len(errors), songs, f"{len(errors)} of {songs} songs")
    return exit_code(errors)


def _settings(
    console: Console,
    seconds: float,
    seed: int,
    styles: tuple[str | None, str | None],
    sound_font: Path | None,
    synthetic: bool,
) -> Settings:
    """Return the settings of songs; fail if something that they need is missing."""
    from stemsplit.data.render.fluid import find_sound_fonts
    from stemsplit.data.render.programs import FLUIDSYNTH, MMA, find_program, has_program
    from stemsplit.data.render.song import Settings
    from stemsplit.data.render.styles import choose_styles, find_styles

    if synthetic and sound_font is not None:
        raise UsageError("--synthetic and --soundfont contradict each other")
    if not math.isfinite(seconds):
        raise UsageError("--seconds must be a number")
    fonts: Sequence[Path] = ()
    if not synthetic:
        fonts = find_sound_fonts(sound_font)
        find_program(FLUIDSYNTH)
        if not has_program(MMA):
            console.warn("mma was not found: only the built-in styles are used")
    known = find_styles(mma=not synthetic and has_program(MMA))
    wanted, unwanted = (parse_names(each) if each is not None else () for each in styles)
    chosen = choose_styles(known, wanted, unwanted)
    return Settings(seed=seed, seconds=seconds, styles=chosen, sound_fonts=tuple(fonts))


def _show(console: Console, result: RenderResult) -> None:
    """Show the folder of a song, or why there is none."""
    if result.error is not None:
        console.error(result.error, result.folder)
    if console.json:
        console.record({"schema": SCHEMA, "song": str(result.folder), **_facts(result)})
    elif result.error is None:
        console.data(str(result.folder))


def _facts(result: RenderResult) -> dict[str, object]:
    if (error := result.error) is not None:
        code = error.exit_code.value
        return {"status": "failed", "error": str(error), "hint": error.hint, "exit_code": code}
    if result.skipped:
        return {"status": "skipped"}
    known = ("style", "tempo", "metre", "key", "seconds", "sound_font")
    return {"status": "done", **{name: result.labels.get(name) for name in known}}
