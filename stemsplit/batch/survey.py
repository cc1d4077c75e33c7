"""Read the lengths of all songs during a run, to estimate the total time."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from threading import Event as Flag
from threading import Thread
from types import TracebackType
from typing import Self

from stemsplit.audio.excerpt import cut
from stemsplit.audio.probe import probe
from stemsplit.batch.discover import Song
from stemsplit.batch.plan import RunPlan
from stemsplit.errors import StemsplitError
from stemsplit.types import StreamInfo, Surveyed


class Survey:
    """Reads the headers of ``songs`` in a thread, as a context manager.

    Songs whose stems all exist are left out, unless all stems are replaced: whether they are up to
    date is only known later, and usually they are. Unreadable songs are left out, too.
    """

    def __init__(self, songs: Iterable[Song], plan: RunPlan) -> None:
        self._songs = list(songs)
        self._plan = plan
        self._stop = Flag()
        self._found: Surveyed | None = None
        self._thread = Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def take(self) -> Surveyed | None:
        """Return the lengths once, as soon as all are known."""
        found, self._found = self._found, None
        return found

    def _run(self) -> None:
        lengths: dict[Path, float | None] = {}
        excerpt = self._plan.options.excerpt
        for song in self._songs:
            if self._stop.is_set():
                return
            try:
                if self._is_due(song):
                    lengths[song.path] = length_of(cut(probe(song.path), excerpt))
            except (StemsplitError, OSError):
                continue  # reported in its turn
        self._found = Surveyed(lengths)

    def _is_due(self, song: Song) -> bool:
        outputs = self._plan.songs[song.path].outputs.values()
        return self._plan.options.existing == "force" or not all(map(os.path.lexists, outputs))


def length_of(info: StreamInfo) -> float | None:
    """Return the seconds of the part of ``info`` that is decoded, according to its header."""
    end = info.duration
    if info.end_frame is not None:
        last = info.end_frame / info.sample_rate
        end = last if end is None else min(end, last)
    return None if end is None else max(0.0, end - info.first_frame / info.sample_rate)
