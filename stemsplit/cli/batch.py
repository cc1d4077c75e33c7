"""Splitting songs one after another, each stage of one beside the stages of others."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from threading import Event as Flag
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

from stemsplit.audio.encode import refuse_existing
from stemsplit.audio.excerpt import cut
from stemsplit.audio.formats import check_encoding
from stemsplit.audio.probe import probe
from stemsplit.checkpoints import loading
from stemsplit.cli.console import Console
from stemsplit.cli.events import show
from stemsplit.cli.inputs import Song, find_songs
from stemsplit.cli.outcomes import Outcome, exit_code, record, table
from stemsplit.cli.plans import Plan, SplitOptions, plan_all, settings_of
from stemsplit.cli.preparation import Preparation, Prepared, Ready, Silent, Skipped, Taken
from stemsplit.errors import (
    CheckpointError,
    ExitCode,
    InputError,
    ResourceError,
    StemsplitError,
    UsageError,
)
from stemsplit.separation.claims import Claims
from stemsplit.separation.manifest import Recipe
from stemsplit.separation.naming import check_template
from stemsplit.separation.selection import SONG, Selection, select_stems
from stemsplit.types import Event, Finished, StreamInfo

if TYPE_CHECKING:
    from stemsplit.cli.judge import Judge
    from stemsplit.separation.chorus import Chorus
    from stemsplit.separation.engine import Engine
    from stemsplit.separation.job import Job
    from stemsplit.separation.writing import Writing

#: What came of preparing a song.
_Found: TypeAlias = Prepared | StemsplitError
#: How long to wait (s) before asking again whether another process has finished a song.
_POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class _Ending:
    """A song that is separated, and being written."""

    ready: Ready
    writing: Writing
    start: float  # of wall clock, s


class Batch:
    """Songs to split with one set of options; the model is loaded when the first needs it.

    Where there is a ``judge``, it scores the stems of each.
    """

    def __init__(self, options: SplitOptions, console: Console, judge: Judge | None = None) -> None:
        self.options = options
        self.console = console
        self.judge = judge
        check_encoding(options.encoding)
        self._engine: Engine | Chorus | None = None
        self._unwritable: ResourceError | None = None  # why stdout failed, told at the end
        self.selection = self._select()
        check_template(options.template, self.selection.wanted)
        self._plans: dict[Path, Plan] = {}
        self._labels: dict[Path, str] = {}
        self._outcomes: list[Outcome] = []
        self._ending: _Ending | None = None

    def run(self, files: Iterable[str], lists: Iterable[str] = ()) -> ExitCode:
        """Split ``files``, tell what became of each, and return the exit code of the whole.

        ``lists`` are files that name more. A bad song is told and passed over; after a lack of
        disk or memory the rest is not tried. Raises ``UsageError`` and ``CheckpointError``, with
        which no song can be split at all, and ``InputError`` if nothing that was found is audio.
        """
        options = self.options
        songs = list(find_songs(files, options.folder, lists))
        named = [song for song in songs if isinstance(song, Song)]
        self._plans = plan_all(named, self.selection.wanted, options)
        if self.judge is not None:
            force = options.existing == "force"
            self.judge.prepare(list(self._plans), self.selection.wanted, force=force)
        for number, song in enumerate(named, 1):
            place = f"[{number}/{len(named)}] " if len(songs) > 1 else ""
            self._labels[song.path] = f"{place}{song.path.name}"
        several = len(songs) > 1 or any(song.found for song in named)
        existing = options.existing or ("resume" if several else "refuse")
        with Claims(options.folder) as claims:
            self._split_all(
                songs,
                Preparation(options, existing, self._plans, claims, lambda: self._recipes),
                claims,
            )
        if not self._outcomes:
            raise InputError("nothing that was found is audio")
        if len(self._outcomes) > 1:
            for line in table(self._outcomes, whole=self.console.verbose > 0):
                self.console.note(line)
        if self.judge is not None:
            self.judge.finish()
        if self._unwritable is not None:
            raise self._unwritable
        return exit_code([outcome.error for outcome in self._outcomes])

    def _select(self) -> Selection:
        options = self.options
        return select_stems(
            loading.stems_of(options.model),
            options.stems,
            options.two_stems,
            mixes=options.mixes,
            sum_to_mix=options.sum_to_mix,
        )

    def _split_all(
        self, songs: Sequence[Song | InputError], preparation: Preparation, claims: Claims
    ) -> None:
        """Split ``songs``, one being written while the next is separated; tell each outcome."""
        try:
            with closing(self._prepared(songs, preparation)) as prepared:
                for song, found in prepared:
                    following = self._begin(song, found, claims)
                    self._finish(claims)
                    if isinstance(following, Outcome):
                        self._tell(following)
                    else:
                        self._ending = following
            self._finish(claims)
        finally:
            if self._ending is not None:  # an interruption: what is separated is still written
                self._ending.writing.close()

    def _prepared(
        self, songs: Iterable[Song | InputError], preparation: Preparation
    ) -> Generator[tuple[Song | InputError, _Found]]:
        """Yield ``songs``, prepared in threads ahead of their turn, with what was found.

        Until the model is there, they are prepared one by one here. Those that another process has
        in work come last, again and again until it is done with them.
        """
        stop, jobs = Flag(), self.options.jobs
        waiting: deque[tuple[Song | InputError, Future[_Found]]] = deque()
        taken: list[Song | InputError] = []
        with ThreadPoolExecutor(jobs) as pool:
            try:
                for song in songs:
                    if self._engine is None:
                        future: Future[_Found] = Future()
                        future.set_result(self._prepare(song, preparation, stop))
                    else:
                        future = pool.submit(self._prepare, song, preparation, stop)
                    waiting.append((song, future))
                    while waiting and (self._engine is None or len(waiting) > jobs):
                        yield from _unless_taken(waiting, taken)
                while waiting:
                    yield from _unless_taken(waiting, taken)
                for song in taken:
                    while isinstance(found := self._prepare(song, preparation, stop), Taken):
                        yield song, found
                        time.sleep(_POLL_SECONDS)
                    yield song, found
            finally:
                stop.set()
                pool.shutdown(cancel_futures=True)

    def _prepare(self, song: Song | InputError, preparation: Preparation, stop: Flag) -> _Found:
        if isinstance(song, InputError):
            return song
        if self._given_up:
            return ResourceError("not tried after that", path=song.path)
        try:
            rate = None if self._engine is None else self._engine.sample_rate
            found = preparation.prepare(song, rate, stop)
            if isinstance(found, Ready):
                self.load()
        except StemsplitError as error:
            if self._engine is None and isinstance(error, UsageError | CheckpointError):
                raise  # there is no model, for this song or any other
            return error
        return found

    @property
    def _given_up(self) -> bool:
        failures = [outcome.error for outcome in self._outcomes if outcome.error is not None]
        lack = any(isinstance(error, ResourceError) for error in failures)
        return lack or (self.options.fail_fast and bool(failures))

    def _begin(
        self, song: Song | InputError, found: _Found, claims: Claims
    ) -> Outcome | _Ending | None:
        """Separate a song that is ready; of others, return what became of them, if anything."""
        match found:
            case Ready():
                return self._separate(found, claims)
            case Skipped():
                stems = self._plans[found.song.path].stems
                return Outcome(input=found.song.path, status="skipped", outputs=stems)
            case Silent():
                self.console.detail(f"{found.song.path}: passed over: {found.reason}")
                return None
            case StemsplitError():
                return Outcome.failed(song.path, found)
            case _:
                return None

    def _separate(self, ready: Ready, claims: Claims) -> Outcome | _Ending:
        path, start = ready.song.path, time.monotonic()
        if self._given_up:
            claims.release(ready.ledger.mark)
            return Outcome.failed(path, ResourceError("not tried after that", path=path))
        for remark in ready.remarks:
            self.console.warn(remark)
        from stemsplit.separation.pipeline import separate
        from stemsplit.separation.writing import Writing

        job = replace(
            self._job(ready.info, ready.outputs, ready.replacing),
            statistics=ready.statistics,
            ledger=ready.ledger,
        )
        writing = Writing(job)
        try:
            with closing(separate(job, self.load(), writing)) as events:
                show(self.console, self._meanwhile(events, claims), self._labels[path], path)
        except StemsplitError as error:
            claims.release(ready.ledger.mark)
            return Outcome.failed(path, error)
        return _Ending(ready, writing, start)

    def _meanwhile(self, events: Iterable[Event], claims: Claims) -> Iterator[Event]:
        """Pass ``events`` on; tell of the song before as soon as it is in its place.

        A judge takes his time, and would keep the network waiting for no gain.
        """
        for event in events:
            if self._ending is not None and self._ending.writing.done and self.judge is None:
                self._finish(claims)
            yield event

    def _finish(self, claims: Claims) -> None:
        """Wait for the song that is being written, if there is one, and tell what became of it."""
        if self._ending is None:
            return
        ready, writing, start = self._ending.ready, self._ending.writing, self._ending.start
        path = ready.song.path
        try:
            finished = show(self.console, writing.events(), self._labels[path], path)
            outcome = Outcome(
                input=path,
                status="done",
                outputs=ready.outputs,
                finished=finished,
                seconds=time.monotonic() - start,
            )
        except StemsplitError as error:
            outcome = Outcome.failed(path, error)
        self._ending = None
        claims.release(ready.ledger.mark)
        self._tell(outcome)

    def split(self, song: Path, outputs: dict[str, Path], label: str) -> Finished | None:
        """Write ``outputs``, files by stem, of one ``song``, without a manifest, and show how.

        Raises as ``split`` of the pipeline does.
        """
        replacing = self.options.existing == "force"
        for path in outputs.values():
            refuse_existing(path, force=replacing)
        info = cut(probe(song), self.options.excerpt)
        engine = self.load()
        from stemsplit.separation import pipeline

        with closing(pipeline.split(self._job(info, outputs, replacing), engine)) as events:
            return show(self.console, events, label + song.name, song)

    def stream(
        self, song: Path, outputs: dict[str, Path], to: BinaryIO, *, bare: bool = False
    ) -> None:
        """Write the one stem of ``outputs`` of one ``song`` ``to`` a stream, and show how.

        Raises as ``stream`` of the room below does.
        """
        info = cut(probe(song), self.options.excerpt)
        engine = self.load()
        from stemsplit.separation.streaming import stream

        job = self._job(info, outputs, False)
        with closing(stream(job, engine, to, bare=bare)) as events:
            show(self.console, events, song.name, song)

    def _job(self, info: StreamInfo, outputs: dict[str, Path], replacing: bool) -> Job:
        from stemsplit.separation.job import Job

        return Job(
            info=info,
            selection=self.selection,
            outputs=outputs,
            encoding=self.options.encoding,
            force=replacing,
            accept_truncated=self.options.accept_truncated,
        )

    @cached_property
    def _recipes(self) -> dict[str, Recipe]:
        """What each stem is made with. The weights are fetched for that: their digest counts."""
        self.fetch()
        model, settings = self.options.model, settings_of(self.options)
        return {
            stem: Recipe(
                model=loading.label(model),
                digest=loading.fingerprint(model, stems=[name for name in parts if name != SONG]),
                parts=dict(parts),
                settings=settings,
            )
            for stem, parts in self.selection.recipes.items()
        }

    def load(self) -> Engine | Chorus:
        """Return the engine; the first time, fetch and load the model.

        Raises ``CheckpointError`` and ``ResourceError``.
        """
        if self._engine is None:
            self.fetch()
            self._engine = self._load()
        return self._engine

    def fetch(self) -> None:
        """See to it that the weights are here. Raises ``CheckpointError`` and ``ResourceError``."""
        fetching = loading.prepare(
            self.options.model,
            stems=self.selection.needed,
            offline=self.options.offline,
            allow_unverified=self.options.allow_unverified,
        )
        show(self.console, fetching, self.options.model)

    def _load(self) -> Engine | Chorus:
        options = self.options
        start = time.monotonic()
        from stemsplit.separation.device import keep_freed_memory

        keep_freed_memory()
        from stemsplit.separation.engines import load_engine

        engine = load_engine(options.model, self.selection.needed, options.engine)
        self.console.detail(
            f"{options.model} on {engine.setup}, loaded in {time.monotonic() - start:.1f} s"
        )
        return engine

    def _tell(self, outcome: Outcome) -> None:
        if self.judge is not None and outcome.error is None:
            outcome = self._score(self.judge, outcome)
        self._outcomes.append(outcome)
        if outcome.error is not None:
            self.console.error(outcome.error)
        if outcome.status == "skipped":
            self.console.note(f"{outcome.input}: skipped, its stems are there already")
        try:
            if self.console.json:
                self.console.record(record(outcome, self.options.model))
            elif outcome.status == "done":
                for path in outcome.outputs.values():
                    self.console.data(str(path))
        except ResourceError as error:
            self._unwritable = error
        if self.judge is not None and outcome.scores is not None:
            self.judge.tell(outcome.scores)

    def _score(self, judge: Judge, outcome: Outcome) -> Outcome:
        """Return ``outcome`` with the scores of its stems, or with what went wrong with these."""
        path = outcome.input
        try:
            scores = judge.score(path, self._plans[path].stems, self._labels[path])
        except StemsplitError as error:
            return replace(outcome, error=error)
        return replace(outcome, scores=scores)


def _unless_taken(
    waiting: deque[tuple[Song | InputError, Future[_Found]]], taken: list[Song | InputError]
) -> Iterator[tuple[Song | InputError, _Found]]:
    """Yield the first of ``waiting``; if another process has it, note it as ``taken`` instead."""
    song, future = waiting.popleft()
    found = future.result()
    if isinstance(found, Taken):
        taken.append(song)
    else:
        yield song, found
