"""What a run would do: nothing is fetched, locked or written."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator

from stemsplit.batch.discover import Song
from stemsplit.batch.engine_cache import EngineCache
from stemsplit.batch.locks import SongLocks
from stemsplit.batch.plan import RunPlan
from stemsplit.batch.prepare import Preparation, Skipped, WouldSplit
from stemsplit.batch.results import Result
from stemsplit.errors import CheckpointError, StemsplitError, describe
from stemsplit.outputs.provenance import Provenance
from stemsplit.types import Event, NotAudio, Warned

#: How stems are made of weights that are not on this machine: as no manifest says.
_UNKNOWN = Provenance(model="", digest="", parts={}, settings={})


def predict(
    songs: Iterable[Song | Result], plan: RunPlan, engines: EngineCache
) -> Generator[Event | Result]:
    """Yield what would become of each of ``songs``, except for what only shows on the way.

    Raises ``CheckpointError`` where weights are missing and must not be fetched.
    """
    if plan.options.offline:
        yield from engines.fetch()
    # The locks are not entered: nothing is locked, and nothing of dead runs removed.
    preparation = Preparation(plan, SongLocks(plan.options.out))
    try:
        preparation.look_up_provenances()
    except CheckpointError:
        names = (*plan.selection.wanted, *plan.options.daw)
        preparation.provenances = dict.fromkeys(names, _UNKNOWN)
    for song in songs:
        if isinstance(song, Result):
            yield song
        else:
            yield from _predict(song, plan, preparation)


def _predict(song: Song, plan: RunPlan, preparation: Preparation) -> Iterator[Event | Result]:
    planned = plan.songs[song.path]
    try:
        found = preparation.predict(song)
    except StemsplitError as error:
        yield Result.failed(song.path, describe(error, song.path))
        return
    if isinstance(found, NotAudio):
        yield found
        return
    for warning in found.warnings:
        yield Warned(warning, song.path)
    match found:
        case WouldSplit(outputs, reason):
            yield Result.planned(song.path, "would_split", planned.only(outputs), reason)
        case Skipped(reason):
            yield Result.planned(song.path, "skipped", planned, reason)
