"""Splitting songs one after another, and the account of what became of each."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stemsplit.audio.encode import refuse_existing
from stemsplit.audio.excerpt import WHOLE, Excerpt, cut
from stemsplit.audio.formats import RULES, check_encoding
from stemsplit.audio.probe import probe
from stemsplit.checkpoints import loading
from stemsplit.cli.console import Console
from stemsplit.cli.events import show
from stemsplit.cli.inputs import Song, find_songs
from stemsplit.cli.outcomes import Outcome, exit_code, record, table
from stemsplit.errors import (
    CheckpointError,
    ExitCode,
    InputError,
    ResourceError,
    StemsplitError,
    UsageError,
)
from stemsplit.separation.naming import (
    check_collisions,
    check_template,
    clashes,
    manifest_path,
    safe_folder,
    stem_paths,
)
from stemsplit.separation.selection import Selection, select_stems
from stemsplit.types import EncodingOptions, EngineOptions, Existing, Finished

if TYPE_CHECKING:
    from stemsplit.cli.judge import Judge
    from stemsplit.separation.chorus import Chorus
    from stemsplit.separation.engine import Engine


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitOptions:
    """Everything that ``stemsplit FILE…`` can be told, but the files."""

    model: str
    folder: Path
    template: str
    encoding: EncodingOptions
    existing: Existing
    offline: bool
    allow_unverified: bool
    engine: EngineOptions
    stems: tuple[str, ...] | None = None
    two_stems: str | None = None
    mixes: tuple[str, ...] = ()
    sum_to_mix: str | None = None
    accept_truncated: bool = False
    excerpt: Excerpt = WHOLE

    def told(self) -> dict[str, Any]:
        """Return the choices that decide how the stems sound, in plain values."""
        choices = asdict(self.engine)
        del choices["batch"]  # how many segments run at a time is no choice of sound
        return {"model": self.model, **choices}


@dataclass(frozen=True, slots=True)
class Plan:
    """Where the stems of a song go, by name, and the manifest that tells of them."""

    stems: dict[str, Path]
    manifest: Path


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

    def run(self, files: Iterable[str], lists: Iterable[str] = ()) -> ExitCode:
        """Split ``files``, tell what became of each, and return the exit code of the whole.

        ``lists`` are files that name more. A bad song is told and passed over; after a lack of
        disk or memory the rest is not tried. Raises ``UsageError`` and ``CheckpointError``, with
        which no song can be split at all.
        """
        songs = list(find_songs(files, self.options.folder, lists))
        plans = self._plan_all([song for song in songs if isinstance(song, Song)])
        if self.judge is not None:
            force = self.options.existing == "force"
            self.judge.prepare(list(plans), self.selection.wanted, force=force)
        outcomes: list[Outcome] = []
        for number, song in enumerate(songs, 1):
            label = f"[{number}/{len(songs)}] " if len(songs) > 1 else ""
            if outcomes and isinstance(outcomes[-1].error, ResourceError):
                given_up = ResourceError("not tried after that", path=song.path)
                outcome = Outcome.failed(song.path, given_up)
            else:
                outcome = self._attempt(song, plans, label)
                if self.judge is not None and outcome.error is None:
                    outcome = _score(self.judge, outcome, plans[outcome.input], label)
            outcomes.append(outcome)
            self._tell(outcome)
        self._summarise(outcomes)
        if self.judge is not None:
            self.judge.finish()
        if self._unwritable is not None:
            raise self._unwritable
        return exit_code([outcome.error for outcome in outcomes])

    def _plan_all(self, songs: Sequence[Song]) -> dict[Path, Plan]:
        """Return the plan of each song by its path; names that clash keep their endings.

        Raises ``UsageError`` where that does not help.
        """
        plans = {song.path: self._plan(song) for song in songs}
        while clashing := clashes({path: _files(plan) for path, plan in plans.items()}):
            again = {s.path: self._plan(s, whole_name=True) for s in songs if s.path in clashing}
            if all(plans[path] == plan for path, plan in again.items()):
                break
            plans |= again
        check_collisions({path: _files(plan) for path, plan in plans.items()})
        return plans

    def _select(self) -> Selection:
        options = self.options
        return select_stems(
            loading.stems_of(options.model),
            options.stems,
            options.two_stems,
            mixes=options.mixes,
            sum_to_mix=options.sum_to_mix,
        )

    def _plan(self, song: Song, *, whole_name: bool = False) -> Plan:
        options = self.options
        names: dict[str, Any] = {
            "folder": options.folder / safe_folder(song.below),
            "template": options.template,
            "extension": RULES[options.encoding.format].extension,
            "model": loading.label(options.model),
            "whole_name": whole_name,
        }
        return Plan(
            stem_paths(song.path, self.selection.wanted, **names),
            manifest_path(song.path, **names),
        )

    def _attempt(self, song: Song | InputError, plans: Mapping[Path, Plan], label: str) -> Outcome:
        if isinstance(song, InputError):
            return Outcome.failed(song.path, song)
        outputs = self._unwritten(plans[song.path].stems)
        if not outputs:
            return Outcome(input=song.path, status="skipped", outputs=plans[song.path].stems)
        start = time.monotonic()
        try:
            finished = self.split(song.path, outputs, label)
        except StemsplitError as error:
            if self._engine is None and isinstance(error, UsageError | CheckpointError):
                raise  # there is no model, for this song or any other
            return Outcome.failed(song.path, error)
        return Outcome(
            input=song.path,
            status="done",
            outputs=outputs,
            finished=finished,
            seconds=time.monotonic() - start,
        )

    def _unwritten(self, outputs: dict[str, Path]) -> dict[str, Path]:
        """Return those of ``outputs`` that are to be written: all, unless existing ones stay."""
        if self.options.existing != "skip":
            return outputs
        return {stem: path for stem, path in outputs.items() if not os.path.lexists(path)}

    def split(self, song: Path, outputs: dict[str, Path], label: str) -> Finished | None:
        """Write ``outputs``, files by stem, of ``song``, and show how far it is.

        Raises as ``split`` of the pipeline does.
        """
        force = self.options.existing == "force"
        for path in outputs.values():
            refuse_existing(path, force=force)
        info = cut(probe(song), self.options.excerpt)
        engine = self.load()
        from stemsplit.separation import pipeline

        job = pipeline.Job(
            info=info,
            selection=self.selection,
            outputs=outputs,
            encoding=self.options.encoding,
            force=force,
            accept_truncated=self.options.accept_truncated,
        )
        with closing(pipeline.split(job, engine)) as events:
            return show(self.console, events, f"{label}{song.name}")

    def load(self) -> Engine | Chorus:
        """Return the engine; the first time, fetch and load the model.

        Raises ``CheckpointError`` and ``ResourceError``.
        """
        if self._engine is None:
            self._engine = self._load()
        return self._engine

    def fetch(self) -> None:
        """See to it that the weights are here. Raises ``CheckpointError`` and ``ResourceError``."""
        options = self.options
        fetching = loading.prepare(
            options.model,
            stems=self.selection.needed,
            offline=options.offline,
            allow_unverified=options.allow_unverified,
        )
        show(self.console, fetching, options.model)

    def _load(self) -> Engine | Chorus:
        options, stems = self.options, self.selection.needed
        self.fetch()
        start = time.monotonic()
        from stemsplit.separation.device import keep_freed_memory

        keep_freed_memory()
        from stemsplit.separation.engines import load_engine

        engine = load_engine(options.model, stems, options.engine)
        self.console.detail(
            f"{options.model} on {engine.setup}, loaded in {time.monotonic() - start:.1f} s"
        )
        return engine

    def _tell(self, outcome: Outcome) -> None:
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

    def _summarise(self, outcomes: Sequence[Outcome]) -> None:
        if len(outcomes) > 1:
            for line in table(outcomes, whole=self.console.verbose > 0):
                self.console.note(line)


def _score(judge: Judge, outcome: Outcome, plan: Plan, label: str) -> Outcome:
    """Return ``outcome`` with the scores of its stems, or with what went wrong with these."""
    try:
        return replace(outcome, scores=judge.score(outcome.input, plan.stems, label))
    except StemsplitError as error:
        return replace(outcome, error=error)


def _files(plan: Plan) -> list[Path]:
    return [*plan.stems.values(), plan.manifest]
