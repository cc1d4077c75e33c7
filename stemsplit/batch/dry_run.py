"""What a run would do, without doing it: nothing is fetched, claimed or written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from stemsplit.batch.discover import Song
from stemsplit.batch.engine_cache import Splitter
from stemsplit.batch.locks import SongLocks
from stemsplit.batch.plan import Orders
from stemsplit.batch.prepare import Preparation, Skipped, WouldSplit
from stemsplit.batch.results import Outcome
from stemsplit.cli.app import told
from stemsplit.errors import CheckpointError, InputError, StemsplitError
from stemsplit.outputs.manifest import Recipe

#: How stems are made of weights that are not here: in no way that was ever written down.
UNKNOWN = Recipe(model="", digest="", parts={}, settings={})


def foretell(
    songs: Iterable[Song | InputError], orders: Orders, splitter: Splitter
) -> Iterator[Outcome]:
    """Yield what would become of each of ``songs``, but for what only shows on the way.

    Raises ``CheckpointError`` where weights are missing and may not be fetched.
    """
    if orders.options.offline:
        splitter.fetch()

    def recipes() -> Mapping[str, Recipe]:
        try:
            return splitter.recipes
        except CheckpointError:
            return dict.fromkeys((*splitter.selection.wanted, *orders.options.daws), UNKNOWN)

    # The claims are not entered: nothing is taken, nothing of dead runs is swept.
    preparation = Preparation(orders, SongLocks(orders.options.folder), recipes)
    for song in songs:
        if isinstance(song, InputError):
            yield Outcome.failed(song.path, song)
            continue
        try:
            plan, found = orders.plans[song.path], preparation.foretell(song)
        except StemsplitError as error:
            yield Outcome.failed(song.path, told(error, song.path))
            continue
        if isinstance(found, WouldSplit):
            yield Outcome.planned(song.path, "would_split", plan.only(found.outputs))
        elif isinstance(found, Skipped):
            yield Outcome.planned(song.path, "skipped", plan)
