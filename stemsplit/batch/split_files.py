"""The Python interface to a run: many files, with all features of the command."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from typing import Any

from stemsplit.batch.results import Result
from stemsplit.batch.run import Run
from stemsplit.batch.signatures import ALL_OPTIONS, takes
from stemsplit.errors import UsageError
from stemsplit.options import SplitOptions
from stemsplit.types import Event


@takes(*ALL_OPTIONS)
def split_files(
    inputs: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    on_event: Callable[[Event], object] | None = None,
    dry_run: bool = False,
    **options: Any,
) -> Generator[Result]:
    """Split files as the command does, and iterate over the results of the songs.

    ``inputs`` are files, folders, patterns and playlists. The options of a split (`SplitOptions`)
    are keyword arguments: manifests, locks and several devices work as they do for the command.
    ``existing`` selects what happens to existing stems: "resume", "update", "skip" or "force"
    (`types.Existing`). ``model`` may be several comma-separated names: an ensemble. The result of a
    song that fails has an ``error``, and the other songs are still split.

    ``on_event`` is called with the events of the run: `types.Progressed` has the fraction, the
    speed and the time left. Closing the iterator, or leaving its loop, cancels the run. So does an
    exception from ``on_event``, which lets another thread stop it. Separated songs are still
    written, and the remaining songs are left for other processes. With ``dry_run``, nothing is
    written.

    Raises ``UsageError`` for contradictory options. Iterating raises ``CheckpointError`` if no song
    can be split, ``ResourceError`` if a device does not work, and ``InputError`` if none of the
    files is audio.
    """
    run = Run(SplitOptions.of(options))
    names = [inputs] if isinstance(inputs, str | bytes | os.PathLike) else list(inputs)
    if not names:
        raise UsageError("no inputs: name files, folders, patterns or playlists")
    events = run.split_inputs([os.fsdecode(name) for name in names], dry=dry_run)
    return results_of(events, on_event)


def results_of(
    events: Generator[Event | Result], on_event: Callable[[Event], object] | None = None
) -> Generator[Result]:
    """Yield the results among ``events``, and call ``on_event`` with the others."""
    with closing(events):
        for event in events:
            if isinstance(event, Result):
                yield event
            elif on_event is not None:
                on_event(event)
