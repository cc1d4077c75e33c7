"""A run: from inputs and options to the result of each song."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from stemsplit.batch.discover import Song, discover
from stemsplit.batch.engine_cache import EngineCache
from stemsplit.batch.plan import RunPlan, plan_songs, select
from stemsplit.batch.playlists import NameSource
from stemsplit.batch.results import NotTried, Result, ends_all
from stemsplit.errors import InputError, describe
from stemsplit.options import SplitOptions
from stemsplit.outputs.selection import Selection
from stemsplit.separation.device import parse_devices
from stemsplit.types import Event, Planned, Scoring, Warned

if TYPE_CHECKING:
    from stemsplit.batch.scheduler import Scheduler
    from stemsplit.batch.survey import Survey
    from stemsplit.batch.workers import WorkerPool
    from stemsplit.evaluation.scores import SongScores


_NOTHING = "no audio files found"


class Scorer(Protocol):
    """Scores the stems of songs as soon as they are written."""

    def prepare(
        self, songs: Sequence[Path], selection: Selection, *, force: bool
    ) -> Iterator[Event]:
        """Get ready before any of ``songs`` is split, and yield warnings."""

    def score(
        self, result: Result, stems: Mapping[str, Path]
    ) -> Generator[Scoring, None, SongScores]:
        """Return the scores of a song whose ``stems`` are written; yield progress."""

    def finish(self) -> None:
        """Write reports that cover all songs."""


class Run:
    """Splits songs with one set of ``options``, on all devices that they name.

    A ``scorer`` scores the stems of each song. ``engines`` may be a model that is already loaded.
    With ``tunes_process``, the run may change how this whole process imports torch and allocates
    memory. With ``surveys``, it reads the lengths of all songs first, so that the total time can be
    shown.

    Raises ``UsageError`` for options that contradict each other or the model.
    """

    def __init__(
        self,
        options: SplitOptions,
        *,
        scorer: Scorer | None = None,
        engines: EngineCache | None = None,
        temporary: Iterable[Path] = (),
        tunes_process: bool = False,
        surveys: bool = False,
    ) -> None:
        self.options = options
        self.devices = parse_devices(options.engine.device)
        self.selection = select(options)
        self.engines = engines or EngineCache(
            options.on(self.devices[0]), self.selection, tunes_process=tunes_process
        )
        self._scorer = scorer
        self._temporary = frozenset(temporary)
        self._surveys = surveys

    def split_inputs(
        self,
        inputs: Iterable[str],
        lists: Iterable[str | NameSource] = (),
        *,
        dry: bool = False,
    ) -> Generator[Event | Result]:
        """Split the songs of ``inputs``, and of ``lists`` of further inputs, as `split` does.

        A ``dry`` run only reports what it would do.
        """
        songs = list(discover(inputs, self.options.out, lists))
        return self._predict(songs) if dry else self.split(songs)

    def split(
        self,
        songs: Sequence[Song | InputError],
        *,
        among: Sequence[Song | InputError] | None = None,
    ) -> Generator[Event | Result]:
        """Split ``songs``; yield events, and the result of each.

        If they are only some of the songs ``among``, stem names are unique among all of those. A
        song that fails does not stop the others, but after running out of disk or memory the rest
        is skipped. Raises ``UsageError``, ``CheckpointError`` and ``MissingDevice`` if no song can
        be split at all, and, without ``among``, ``InputError`` if none of them is audio.
        """
        plan = self._plan(songs if among is None else among)
        yield _planned(songs)
        yield from self._prepare_scorer(plan)
        scheduler = self._scheduler(plan)
        end: Result | None = None  # the failure that ended the run
        results = 0
        warned: dict[Path, list[str]] = {}
        with self._survey(songs, plan) as survey, closing(scheduler.run(_entries(songs))) as events:
            for each in events:
                if survey is not None and (lengths := survey.take()) is not None:
                    yield lengths
                each = _with_warnings(each, warned)
                if isinstance(each, Result):
                    results += 1
                    if self._scorer is not None and each.error is None:
                        each = yield from self._score(self._scorer, each, plan)
                    if end is not None and isinstance(each.error, NotTried):
                        each = replace(each, error=NotTried.because_of(end, each.input))
                    elif end is None and ends_all(each, fail_fast=self.options.fail_fast):
                        end = each
                        scheduler.skip_rest()  # it does not know that scoring failed
                yield each
        if not results and among is None:
            raise InputError(_NOTHING)
        if self._scorer is not None:
            self._scorer.finish()

    def _predict(self, songs: Sequence[Song | InputError]) -> Generator[Event | Result]:
        """Yield what `split` would do with ``songs``."""
        # Imported here, as most runs are not dry.
        from stemsplit.batch.dry_run import predict

        plan = self._plan(songs)
        yield _planned(songs)
        results = 0
        for each in predict(_entries(songs), plan, self.engines):
            results += isinstance(each, Result)
            yield each
        if not results:
            raise InputError(_NOTHING)

    def load(self) -> Iterator[Event]:
        """Fetch and load the model now, so that errors occur before the first song.

        On several devices, the workers load it.
        """
        return self.engines.load() if len(self.devices) == 1 else self.engines.fetch()

    def _plan(self, songs: Sequence[Song | InputError]) -> RunPlan:
        named = [song for song in songs if isinstance(song, Song)]
        return RunPlan(
            options=self.options,
            selection=self.selection,
            songs=plan_songs(named, self.selection.wanted, self.options),
            temporary=self._temporary,
        )

    def _survey(
        self, songs: Sequence[Song | InputError], plan: RunPlan
    ) -> AbstractContextManager[Survey | None]:
        """Return a survey of the lengths of several ``songs``, if wanted."""
        if not self._surveys or len(songs) < 2:
            return nullcontext()
        # Imported here: most runs have one song.
        from stemsplit.batch.survey import Survey

        return Survey([song for song in songs if isinstance(song, Song)], plan)

    def _scheduler(self, plan: RunPlan) -> Scheduler | WorkerPool:
        """Return a scheduler for one device, or a pool with one process per device."""
        if len(self.devices) > 1 and len(plan.songs) > 1:
            # Imported here: most runs have one device.
            from stemsplit.batch.workers import WorkerPool

            return WorkerPool(self.devices, plan)
        # Imported here: a dry run needs none of it.
        from stemsplit.batch.scheduler import Scheduler

        # Scoring in the middle of a song would keep the network waiting.
        between_songs = self._scorer is not None
        return Scheduler(plan, self.engines, between_songs=between_songs)

    def _prepare_scorer(self, plan: RunPlan) -> Iterator[Event]:
        if self._scorer is not None:
            replacing = self.options.existing == "force"
            yield from self._scorer.prepare(list(plan.songs), self.selection, force=replacing)

    def _score(
        self, scorer: Scorer, result: Result, plan: RunPlan
    ) -> Generator[Event, None, Result]:
        """Return ``result`` with the scores of its stems, or with the error from scoring."""
        try:
            scores = yield from scorer.score(result, plan.songs[result.input].stems)
        except Exception as exc:
            return replace(result, error=describe(exc, result.input))
        return replace(result, scores=scores)


def _planned(songs: Sequence[Song | InputError]) -> Planned:
    return Planned({s.path: s.path.name for s in songs if isinstance(s, Song)}, len(songs))


def _with_warnings(each: Event | Result, warned: dict[Path, list[str]]) -> Event | Result:
    """Return ``each``; to a result, add the warnings about its song collected in ``warned``."""
    if isinstance(each, Warned) and each.song is not None:
        said = each.message.removeprefix(f"{each.song}: ")
        warned.setdefault(each.song, []).append(said)
    if isinstance(each, Result):
        return replace(each, warnings=tuple(warned.pop(each.input, ())))
    return each


def _entries(songs: Sequence[Song | InputError]) -> list[Song | Result]:
    """Return ``songs`` with failed results in place of errors."""
    return [Result.failed(s.path, s) if isinstance(s, InputError) else s for s in songs]
