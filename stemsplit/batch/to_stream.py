"""Writes one stem of one song to a stream, without a temporary file if its format allows."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from stemsplit.audio.encoders.opening import can_stream
from stemsplit.audio.excerpt import cut
from stemsplit.audio.probe import probe
from stemsplit.batch.discover import Song
from stemsplit.batch.plan import RunPlan, SongPlan
from stemsplit.batch.results import Result
from stemsplit.batch.run import Run
from stemsplit.batch.temporary import private_folder
from stemsplit.options import SplitOptions
from stemsplit.outputs.stream import StreamWriter
from stemsplit.types import Event

_PIECE = 2**20  # bytes to copy at a time


def split_to_stream(
    options: SplitOptions, song: Path, to: BinaryIO, *, bare: bool = False
) -> Generator[Event]:
    """Write the single stem of ``song`` that ``options`` select to ``to``, and yield events.

    The bytes are those of the file, or, if ``bare``, of its samples only. Formats that are written
    sequentially are streamed, others are written when they are complete. Raises as splitting does,
    and ``ReaderGone`` and ``OSError`` if the stream cannot be written. The caller must pass options
    that select exactly one stem.
    """
    run = Run(options, tunes_process=True)
    (stem,) = run.selection.wanted
    if can_stream(options.encoding):
        yield from _stream(run, song, stem, to, bare=bare)
        return
    with private_folder() as folder:
        settings = replace(options, out=folder, filename="{stem}.{ext}")
        for event in Run(settings, engines=run.engines).split([Song(song)]):
            if not isinstance(event, Result):
                yield event
            elif event.error is not None:
                raise event.error
            else:
                with event.stems[stem].open("rb") as file:
                    shutil.copyfileobj(file, to, _PIECE)
    to.flush()


def _stream(run: Run, song: Path, stem: str, to: BinaryIO, *, bare: bool) -> Generator[Event]:
    info = cut(probe(song), run.options.excerpt)
    yield from run.load()
    # Imported late, because it imports torch.
    from stemsplit.batch.song import SongRun

    target = Path("-")
    plan = RunPlan(
        options=run.options,
        selection=run.selection,
        songs={song: SongPlan({stem: target}, {}, target)},
    )
    job = plan.job(info, {stem})
    writer = StreamWriter(job, to, bare=bare)
    with closing(SongRun(job, run.engines.engine, writer).separate()) as events:
        yield from events
    yield from writer.finish()
