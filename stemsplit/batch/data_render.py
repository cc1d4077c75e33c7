"""Renders songs for training into a folder, several at a time."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

from stemsplit.audio.atomic import part_of, sync_folder, write_text
from stemsplit.audio.encode import StemWriter
from stemsplit.audio.writable import output_error, writing
from stemsplit.data.file_names import MIXTURE
from stemsplit.data.render.mixing import sum_of
from stemsplit.data.render.song import SAMPLE_RATE, RenderedSong
from stemsplit.errors import ExitCode, OutputError, StemsplitError, describe
from stemsplit.options import EncodingOptions
from stemsplit.signals import signals_deferred

LABELS, MIDI = "labels.json", "song.mid"
SCHEMA = 1  # of the labels
#: What to do about songs that exist.
WAYS_OUT = "--force replaces them, --skip-existing keeps them, another --seed adds others"
RenderFormat = Literal["wav", "flac"]


class Render(Protocol):
    """Renders a song by its number; it gives up soon after ``stop`` is set."""

    def __call__(self, number: int, stop: threading.Event) -> RenderedSong: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderResult:
    """A song that was written to ``folder``, or was ``skipped``, or the error."""

    folder: Path
    labels: Mapping[str, Any] = field(default_factory=dict)
    skipped: bool = False
    error: StemsplitError | None = None


def song_folders(out: Path, seed: int, count: int) -> tuple[Path, ...]:
    """Return the folders of ``count`` songs."""
    return tuple(out / f"song-{seed}-{number:05d}" for number in range(count))


def refuse_existing(folders: Sequence[Path]) -> None:
    """Raise ``OutputError`` if one of the folders exists."""
    for folder in folders:
        if os.path.lexists(folder):
            raise OutputError("already exists", path=folder, hint=WAYS_OUT)


def render_songs(
    render: Render,
    folders: Sequence[Path],
    *,
    format: RenderFormat = "wav",
    workers: int = 1,
    force: bool = False,
    skip_existing: bool = False,
) -> Iterator[RenderResult]:
    """Write a song to each of ``folders``; yield the results in this order.

    A folder appears with all of its files, or not at all. It contains the stems and the mixture,
    which is their exact sum, as 16-bit ``format``, the labels, and a MIDI file. ``workers`` songs
    are rendered at a time. After a lack of disk space, memory or a program, the others are not
    tried.

    Raises ``OutputError`` if one of the folders exists, unless ``force`` or ``skip_existing``.
    """
    if not (force or skip_existing):
        refuse_existing(folders)
    skipped = {folder for folder in folders if skip_existing and os.path.lexists(folder)}
    jobs = ((number, folder) for number, folder in enumerate(folders) if folder not in skipped)
    done = {folder: RenderResult(folder=folder, skipped=True) for folder in skipped}
    results = _in_threads(render, jobs, format, workers)
    with contextlib.closing(results):
        for folder in folders:
            result = done.get(folder) or next(results)
            yield result
            if result.error is not None and result.error.exit_code == ExitCode.ENVIRONMENT:
                return


def _in_threads(
    render: Render, jobs: Iterable[tuple[int, Path]], format: RenderFormat, workers: int
) -> Generator[RenderResult]:
    # Threads suffice: other programs and NumPy do the work.
    pool = ThreadPoolExecutor(workers)
    stop = threading.Event()
    running: deque[Future[RenderResult]] = deque()
    try:
        for number, folder in jobs:
            running.append(pool.submit(_render, partial(render, number, stop), folder, format))
            if len(running) > 2 * workers:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


def _render(render: Callable[[], RenderedSong], folder: Path, format: RenderFormat) -> RenderResult:
    try:
        song = render()
        write_song(song, folder, format)
    except Exception as exc:
        return RenderResult(folder=folder, error=describe(exc, folder))
    return RenderResult(folder=folder, labels=song.labels)


def write_song(song: RenderedSong, folder: Path, format: RenderFormat = "wav") -> None:
    """Write ``song`` to ``folder``, replacing an earlier one.

    Raises ``OutputError``, or ``ResourceError`` for a full disk.
    """
    part = part_of(folder)
    try:
        with writing(folder):
            part.mkdir(parents=True)
        _write_sound(song, part, format)
        labels = {"schema": SCHEMA, "name": folder.name, **song.labels}
        write_text(part / LABELS, json.dumps(labels) + "\n")
        if song.midi is not None:
            with writing(part / MIDI):
                (part / MIDI).write_bytes(song.midi)
        _place(part, folder)
    except StemsplitError as exc:  # its path is of a file that nobody will see
        if exc.path is not None and exc.path.startswith(str(part)):
            exc.path = str(folder)
        raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _write_sound(song: RenderedSong, folder: Path, format: RenderFormat) -> None:
    sounds = {**song.stems, MIXTURE: sum_of(song.stems)}
    channels, frames = sounds[MIXTURE].shape
    with StemWriter(
        {name: folder / f"{name}.{format}" for name in sounds},
        options=EncodingOptions(format=format, depth="16", dither=False),
        sample_rate=SAMPLE_RATE,
        channels=channels,
        frames=frames,
    ) as writer:
        writer.write(sounds)
        writer.commit()


def _place(part: Path, folder: Path) -> None:
    """Rename ``part`` to ``folder``, and remove what was there."""
    aside = part_of(folder)
    with signals_deferred():
        try:
            if os.path.lexists(folder):
                os.replace(folder, aside)
            os.replace(part, folder)
        except OSError as exc:
            if os.path.lexists(aside):
                os.replace(aside, folder)
            raise output_error(exc, folder) from exc
    sync_folder(folder.parent)
    if aside.is_dir() and not aside.is_symlink():
        shutil.rmtree(aside, ignore_errors=True)
    else:
        aside.unlink(missing_ok=True)
