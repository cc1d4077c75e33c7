"""``stemsplit data render``: make songs for training."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from stemsplit.cli import options
from stemsplit.cli.console import Console
from stemsplit.errors import UsageError

if TYPE_CHECKING:
    from stemsplit.batch.data_render import RenderResult

SCHEMA = 1  # of the records that --json writes

Out = Annotated[
    Path, typer.Argument(metavar="OUT", help="Folder for the songs, a folder for each.")
]
Songs = Annotated[int, typer.Option("--songs", metavar="N", min=1, help="Number of songs.")]
Seconds = Annotated[
    float, typer.Option("--seconds", metavar="S", min=1, max=600, help="Length of each song.")
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
Singing = Annotated[
    Path | None,
    typer.Option(
        "--singing",
        metavar="FOLDER",
        help="Excerpts of these recordings of singing (files, or the vocals of a data set) instead "
        "of the synthetic singer.",
    ),
]
Drums = Annotated[
    Path | None,
    typer.Option(
        "--drums",
        metavar="FOLDER",
        help="Drum samples instead of those of the sound font: strokes (names contain kick, snare, "
        "hat, …) and loops in 4/4 (names contain the tempo: 96bpm).",
    ),
]
Stems = Annotated[
    Path | None,
    typer.Option(
        "--stems",
        metavar="FOLDER",
        help="Combine stems of different songs of this data set, instead of making music.",
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
    singing: Singing = None,
    drums: Drums = None,
    synthetic: Synthetic = False,
    stems: Stems = None,
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
    from stemsplit.batch.data_render import refuse_existing, render_songs, song_folders
    from stemsplit.batch.results import exit_code
    from stemsplit.cli.song_makers import Music, make_combiner, make_renderer

    if force and skip_existing:
        raise UsageError("--force and --skip-existing contradict each other")
    console = Console(sys.stdout, sys.stderr, quiet=quiet, json=json, debug=debug)
    folders = song_folders(out, seed, songs)
    if not (force or skip_existing):
        refuse_existing(folders)  # before recordings are measured
    music = Music(
        style=style,
        not_style=not_style,
        soundfont=soundfont,
        singing=singing,
        drums=drums,
        synthetic=synthetic,
    )
    if stems is None:
        maker = make_renderer(console, music, seed=seed, seconds=seconds)
    else:
        music.refuse_any("--stems")
        maker = make_combiner(console, stems, seed=seed, seconds=seconds)
    results = render_songs(
        maker,
        folders,
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
