"""``stemsplit demo``: render a song, split it and score the stems."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stemsplit.cli import options
from stemsplit.cli.console import Console
from stemsplit.cli.declared import with_groups
from stemsplit.errors import ExitCode
from stemsplit.options import EncodingOptions, SplitOptions, repeat
from stemsplit.types import Precision

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

app = options.new_app()

SAMPLE_RATE = 44_100


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """The model, and how it is run."""

    model: str = repeat("model")
    device: str = repeat("device")
    precision: Precision = repeat("precision")
    threads: int | None = repeat("threads")
    offline: bool = repeat("offline")
    allow_unverified: bool = repeat("allow_unverified")


@app.command()
@with_groups
def demo(
    *,
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="FOLDER", help="Folder for the song and its stems."),
    ] = Path("demo"),
    network: DemoOptions,
    seconds: Annotated[
        float, typer.Option(metavar="S", min=2, max=120, help="Length of the song.")
    ] = 12.0,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Random seed of the song.")] = 0,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace an earlier demo.")] = False,
    json: options.Json = False,
    progress: options.ProgressOption = "auto",
    quiet: options.Quiet = 0,
    verbose: options.Verbose = 0,
    debug: options.Debug = False,
) -> int:
    """Render a short song, split it, and score the stems against the true ones.

    It needs no files and shows whether everything works on this machine. A score is the
    signal-to-distortion ratio (SDR) in dB over the whole song: higher is better. The last column is
    what the unsplit song would score as that stem.
    """
    from stemsplit.batch.discover import Song
    from stemsplit.batch.results import Result
    from stemsplit.batch.run import Run
    from stemsplit.cli.render import Renderer
    from stemsplit.cli.summary import Summary

    console = Console(
        sys.stdout,
        sys.stderr,
        quiet=quiet,
        verbose=verbose,
        json=json,
        style=progress,
        debug=debug,
    )
    settings = SplitOptions.of(
        {
            **asdict(network),
            "out": out / "stems",
            "filename": "{stem}.{ext}",
            "existing": "force" if force else "resume",
        }
    )
    run = Run(settings, tunes_process=True)
    summary = Summary(console, settings.model)
    with Renderer(console) as renderer:
        for fetched in run.load():  # fails before there is anything to clean up, if at all
            renderer.show(fetched)
        console.note(f"rendering a song of {seconds:g} s (seed {seed})")
        truth, mixture = _render(out, seconds, seed)
        with closing(run.split([Song(out / "song.wav")])) as events:
            for event in events:
                if isinstance(event, Result):
                    renderer.end(event.input)
                    summary.show(event)
                else:
                    renderer.show(event)
    status = summary.finish()
    if status == ExitCode.DONE:
        _score(console, out / "stems", run.selection.wanted, truth, mixture)
    return status


def _render(
    out: Path, seconds: float, seed: int
) -> tuple[Mapping[str, NDArray[np.float32]], NDArray[np.float32]]:
    """Write a song and its true stems below ``out``; return stems and mixture ``(C, T)``.

    The song of an earlier demo is replaced: it can be rendered again at any time.
    """
    from stemsplit.data.synthetic import render

    truth = render(seed, seconds=seconds, sample_rate=SAMPLE_RATE)
    mixture = sum(truth.values(), start=next(iter(truth.values())) * 0)
    _write(out, {"song": mixture})
    _write(out / "true", truth)
    return truth, mixture


def _write(folder: Path, sounds: Mapping[str, NDArray[np.float32]]) -> None:
    """Write ``sounds`` ``(C, T)`` by name as float32 WAV files to ``folder``, over older ones."""
    from stemsplit.audio.encode import StemWriter

    channels, frames = next(iter(sounds.values())).shape
    with StemWriter(
        {name: folder / f"{name}.wav" for name in sounds},
        options=EncodingOptions(),
        sample_rate=SAMPLE_RATE,
        channels=channels,
        frames=frames,
        force=True,
    ) as writer:
        writer.write(sounds)
        writer.commit()


def _figure(decibel: float) -> float | None:
    """Return ``decibel`` for JSON; None for the infinity of silence, which JSON lacks."""
    return round(decibel, 3) if math.isfinite(decibel) else None


def _score(
    console: Console,
    folder: Path,
    stems: tuple[str, ...],
    truth: Mapping[str, NDArray[np.float32]],
    mixture: NDArray[np.float32],
) -> None:
    """Show the SDR of each of ``stems`` in ``folder``, as a table or as one JSON object."""
    from stemsplit.audio.decode import read
    from stemsplit.evaluation.metrics import global_sdr

    scores = {}
    for stem in stems:
        reference = _reference(stem, truth, mixture)
        if reference is not None:
            estimate = read(folder / f"{stem}.wav")
            split, unsplit = global_sdr(reference, estimate), global_sdr(reference, mixture)
            scores[stem] = (float(split), float(unsplit))
    if console.json:
        console.record(
            {
                "schema": 1,
                "scores": [
                    {"stem": stem, "sdr": _figure(sdr), "sdr_of_the_song": _figure(unsplit)}
                    for stem, (sdr, unsplit) in scores.items()
                ],
            }
        )
        return
    console.data(f"{'stem':<14}{'SDR':>10}{'unsplit song':>16}")
    for stem, (sdr, unsplit) in scores.items():
        console.data(f"{stem:<14}{sdr:>7.1f} dB{unsplit:>13.1f} dB")


def _reference(
    stem: str, truth: Mapping[str, NDArray[np.float32]], mixture: NDArray[np.float32]
) -> NDArray[np.float32] | None:
    """Return the true sound of ``stem``; the song without vocals for an accompaniment."""
    if stem == "accompaniment":
        return mixture - truth["vocals"]
    return truth.get(stem)
