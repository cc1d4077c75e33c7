"""What happens to a song before the network: is there anything to do, and can it be done?

All of it may run in threads, ahead of the song that is being separated.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from stemsplit.audio.detect import promises_sound, sounds_by_name
from stemsplit.audio.excerpt import cut
from stemsplit.audio.probe import probe, refuse_unreadable
from stemsplit.audio.writable import refuse_existing
from stemsplit.batch.discover import Song
from stemsplit.batch.locks import SongLocks
from stemsplit.batch.plan import Orders, Plan
from stemsplit.errors import InputError, NoAudioError
from stemsplit.outputs import manifest
from stemsplit.outputs.manifest import Manifest, ManifestWriter, Recipe, Source
from stemsplit.types import ScanResult, StreamInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A song that is to be split, claimed for this process; ``outputs`` are the files to write."""

    song: Song
    info: StreamInfo
    outputs: dict[str, Path]
    replacing: bool
    ledger: ManifestWriter
    statistics: ScanResult | None
    remarks: list[str]


@dataclass(frozen=True, slots=True)
class Skipped:
    """A song whose stems are there already."""

    song: Song


@dataclass(frozen=True, slots=True)
class Silent:
    """A file in a folder that turned out to be no audio, for this ``reason``."""

    song: Song
    reason: str


@dataclass(frozen=True, slots=True)
class Taken:
    """A song that another process has in work."""


@dataclass(frozen=True, slots=True)
class WouldSplit:
    """A song that would be split, into these ``outputs``."""

    outputs: dict[str, Path]


Prepared = Ready | Skipped | Silent | Taken


@dataclass(slots=True)
class _Todo:
    outputs: dict[str, Path]
    known: Manifest | None = None
    remarks: list[str] = field(default_factory=list)

    @property
    def unsettled(self) -> bool:
        """Whether a run was stopped while it moved the stems to their places."""
        return self.known is not None and not self.known.complete


class Preparation:
    """Prepares the songs of one run; ``recipes`` gives what each stem is made with, when asked."""

    def __init__(
        self, orders: Orders, claims: SongLocks, recipes: Callable[[], Mapping[str, Recipe]]
    ) -> None:
        self._options = orders.options
        self._existing = orders.existing
        self._plans = orders.plans
        self._claims = claims
        self._recipes = recipes
        self._sources: dict[Path, Source] = {}

    def prepare(
        self, song: Song, sample_rate: int | None = None, stop: Event | None = None
    ) -> Prepared:
        """Return what is to be done with ``song``; for a model at ``sample_rate`` it is scanned.

        Raises ``InputError`` and ``OutputError``; ``CancelledError`` when ``stop`` is set.
        """
        plan = self._plans[song.path]
        todo = self._todo(song, plan)
        if not todo.outputs and not todo.unsettled:
            self._claims.sweep(plan.manifest, plan.folders)
            return Skipped(song)
        info = self._look_into(song)
        if isinstance(info, Silent):
            return info
        mark = self._claims.take(plan.manifest, plan.folders)
        if mark is None:
            return Taken()
        try:
            return self._claimed(song, plan, info, mark, sample_rate, stop)
        except BaseException:
            self._claims.release(mark)
            raise

    def foretell(self, song: Song) -> WouldSplit | Skipped | Silent:
        """Return what `prepare` would find, and leave everything as it is.

        Raises as that does, but for what only shows when the song is read to its end.
        """
        outputs = self._todo(song, self._plans[song.path]).outputs
        if not outputs:
            return Skipped(song)
        info = self._look_into(song)
        return info if isinstance(info, Silent) else WouldSplit(outputs)

    def _look_into(self, song: Song) -> StreamInfo | Silent:
        """Return what the file of ``song`` holds. Raises ``InputError``."""
        try:
            return cut(probe(song.path), self._options.excerpt)
        except NoAudioError as error:
            if song.found and not promises_sound(song.path.name):
                return Silent(song, error.reason)
            raise
        except InputError as error:
            if song.found and not sounds_by_name(song.path.name):
                return Silent(song, error.reason)
            raise

    def _claimed(
        self,
        song: Song,
        plan: Plan,
        info: StreamInfo,
        mark: str,
        sample_rate: int | None,
        stop: Event | None,
    ) -> Prepared:
        todo = self._todo(song, plan)  # somebody else may have finished it in the meantime
        if not todo.outputs:
            if todo.unsettled and todo.known is not None:
                manifest.finish_interrupted(plan.manifest, todo.known, mark)
            self._claims.release(mark)
            return Skipped(song)
        source = self._source(song.path)
        return Ready(
            song=song,
            info=info,
            outputs=todo.outputs,
            replacing=any(os.path.lexists(path) for path in todo.outputs.values()),
            ledger=ManifestWriter(
                plan.manifest,
                song=song.path,
                source=source,
                recipes=self._recipes(),
                known=todo.known,
                mark=mark,
            ),
            statistics=None if sample_rate is None else self._scan(info, sample_rate, stop),
            remarks=todo.remarks,
        )

    def _scan(self, info: StreamInfo, sample_rate: int, stop: Event | None) -> ScanResult:
        from stemsplit.separation.scan import scan

        truncated = self._options.accept_truncated
        return scan(info, sample_rate, accept_truncated=truncated, stop=stop)

    def _todo(self, song: Song, plan: Plan) -> _Todo:
        """Return the stems that are to be written; raises ``OutputError`` for one in the way."""
        remarks: list[str] = []
        known = None
        try:
            known = manifest.read(plan.manifest)
            ours = set() if known is None else self._ours(song, plan, known)
        except InputError as error:
            remarks.append(str(error))
            ours = set(plan.outputs.values())
        outputs = plan.outputs
        if self._existing == "skip":
            outputs = {stem: path for stem, path in outputs.items() if not os.path.lexists(path)}
        elif self._existing == "resume" and known is not None:
            outputs = self._unmade(song, plan, known)
        if self._options.encoding.clip == "linked" and outputs.keys() & plan.stems.keys():
            outputs = plan.stems | outputs  # one gain for all, so that they still sum
        for path in outputs.values():
            replaceable = self._existing in ("resume", "skip") and path in ours
            refuse_existing(path, force=self._existing == "force" or replaceable)
        return _Todo(outputs, known, remarks)

    def _ours(self, song: Song, plan: Plan, known: Manifest) -> set[Path]:
        """Return the stems that an earlier run has made of a song of this name, and may replace."""
        if known.input.name != song.path.name:
            return set()
        folder = plan.manifest.parent
        return {path for path in plan.outputs.values() if known.lists(path, folder)}

    def _unmade(self, song: Song, plan: Plan, known: Manifest) -> dict[str, Path]:
        """Return the stems that are missing, or made of something else or in another way."""
        folder = plan.manifest.parent
        if not any(known.lists(path, folder) for path in plan.outputs.values()):
            return plan.outputs
        source, recipes = self._source(song.path), self._recipes()
        return {
            stem: path
            for stem, path in plan.outputs.items()
            if not manifest.is_up_to_date(known, folder, path, source, recipes[stem])
        }

    def _source(self, path: Path) -> Source:
        """Return who the file at ``path`` is; what has not changed since is not read again."""
        refuse_unreadable(path)
        known = self._sources.get(path)
        if known is None or known.status != manifest.status_of(path):
            known = self._sources[path] = manifest.identify(path)
        return known
