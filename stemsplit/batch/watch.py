"""Watches a folder, and splits new files as soon as they are complete."""

from __future__ import annotations

import time
from collections.abc import Generator
from pathlib import Path

from stemsplit.batch.discover import Song, discover
from stemsplit.batch.results import Result
from stemsplit.batch.run import Run
from stemsplit.batch.settled_files import SettledFiles
from stemsplit.errors import InputError, ResourceError
from stemsplit.types import Event, Noted


def watch(
    run: Run, folder: Path, *, settle: float, interval: float, new_only: bool = False
) -> Generator[Event | Result]:
    """Split the files in ``folder``, existing and new ones, until the generator is closed.

    A file is complete when it has not changed for ``settle`` seconds; the folder is scanned every
    ``interval`` seconds. With ``new_only``, files that exist now are skipped. Yields events and
    results. Raises ``CheckpointError`` before the first scan, and ``ResourceError`` if disk or
    memory runs out.
    """
    files = SettledFiles(folder, run.options.out, settle=settle)
    if new_only:
        files.skip_existing()
    yield from run.engines.fetch()  # fails now rather than at the first song, hours later
    yield Noted(f"watching {folder}")
    exists = True
    reported = {str(folder)}  # no report while it contains no songs
    while True:
        before, exists = exists, folder.is_dir()
        if exists != before:
            yield Noted(f"{folder} is {'back' if exists else 'gone; waiting for it'}")
        if exists and (candidates := files.look(time.monotonic())):
            found = list(discover([str(folder)], run.options.out))
            for error in found:
                if isinstance(error, InputError) and str(error.path) not in reported:
                    reported.add(str(error.path))
                    yield Result.failed(error.path, error)
            songs = [song for song in found if isinstance(song, Song)]
            settled = set(files.choose(candidates, {song.path for song in songs}))
            if chosen := [song for song in songs if song.path in settled]:
                yield from _split(run, chosen, songs)
        time.sleep(interval)


def _split(run: Run, songs: list[Song], among: list[Song]) -> Generator[Event | Result]:
    lack: ResourceError | None = None
    for event in run.split(songs, among=among):
        if isinstance(event, Result) and isinstance(event.error, ResourceError):
            lack = lack or event.error
        yield event
    if lack is not None:
        raise lack
